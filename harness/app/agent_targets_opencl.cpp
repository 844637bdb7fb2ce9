// faultline-agent-opencl: linked to libdrm and to the ICD loader, which loads drivers.
#include <cstdlib>
#include <iterator>

#include "drm_glue/amdgpu/target.h"
#include "drm_glue/gpus/gpu.h"
#include "drm_glue/nouveau/target.h"
#include "harness/app/agent_targets.h"
#include "opencl_tests/gpu_target.h"

namespace faultline::agent {
namespace {

using Targets = std::vector<std::unique_ptr<Target>>;

// Mesa's drivers of GPUs do OpenCL, and nouveau's SVM, only for who asks. Who has set a variable is obeyed.
void enable_drivers(const std::vector<Gpu>& gpus) {
  std::string rusticl;
  for (const Gpu& gpu : gpus) {
    const bool nouveau = gpu.driver == "nouveau";
    if (!nouveau && gpu.driver != "amdgpu") continue;
    if (nouveau) setenv("NOUVEAU_SVM", "1", 0);
    rusticl += (rusticl.empty() ? "" : ",") + std::string(nouveau ? "nouveau" : "radeonsi");
  }
  if (!rusticl.empty()) setenv("RUSTICL_ENABLE", rusticl.c_str(), 0);
}

// Those of a kernel driver's targets for which there is an OpenCL device.
void add_with_opencl(Targets& targets, Targets (*make)(const std::vector<Gpu>&), const std::vector<Gpu>& gpus,
                     const opencl::DeviceList& list) {
  for (std::unique_ptr<Target>& calls : make(gpus)) {
    const std::string name = calls->name();
    if (name.ends_with("/svm")) continue;  // which needs the VM that the OpenCL driver has
    for (const opencl::Device& device : list.devices) {
      if (device.bus.empty() || name.find(":" + device.bus) == std::string::npos) continue;
      targets.push_back(std::make_unique<opencl::GpuTarget>(
          std::move(calls), device,
          std::vector<std::pair<std::string, std::string>>{{"HSA_XNACK", name.ends_with("/xnack-on") ? "1" : "0"}}));
      break;
    }
  }
}

void add(Targets& targets, Targets more) {
  targets.insert(targets.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

Targets targets_here() {
  const std::vector<Gpu> gpus = list_gpus().gpus;
  enable_drivers(gpus);
  const opencl::DeviceList list = opencl::list_devices();
  Targets targets = kernel_targets();
  // What has more comes first: a word that names several means that.
  for (const auto make : {nouveau::nouveau_targets, amdgpu::amdgpu_targets}) {
    add_with_opencl(targets, make, gpus, list);
    add(targets, make(gpus));
  }
  add(targets, opencl::opencl_targets(list));
  return targets;
}

}  // namespace faultline::agent
