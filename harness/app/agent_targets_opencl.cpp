// faultline-agent-opencl: linked with libdrm and with the ICD loader, which loads OpenCL drivers.
#include <cstdlib>

#include "drm_glue/amdgpu/target.h"
#include "drm_glue/gpus/gpu.h"
#include "drm_glue/nouveau/target.h"
#include "harness/app/agent_targets.h"
#include "opencl_tests/gpu_target.h"

namespace faultline::agent {
namespace {

// Mesa's GPU drivers offer OpenCL, and nouveau its SVM, only if environment variables ask for it. Variables that the user has
// set are kept.
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

// Adds those targets of a kernel driver that have an OpenCL device.
void add_with_opencl(Targets& targets, Targets (*make)(const std::vector<Gpu>&), const std::vector<Gpu>& gpus,
                     const opencl::DeviceList& list) {
  for (std::unique_ptr<Target>& calls : make(gpus)) {
    const std::string name = calls->name();
    if (name.ends_with("/svm")) continue;  // it needs the GPU VM that the OpenCL driver has acquired
    for (const opencl::Device& device : list.devices) {
      if (device.bus.empty() || name.find(":" + device.bus) == std::string::npos) continue;
      targets.push_back(std::make_unique<opencl::GpuTarget>(
          std::move(calls), device,
          std::vector<std::pair<std::string, std::string>>{{"HSA_XNACK", name.ends_with("/xnack-on") ? "1" : "0"}}));
      break;
    }
  }
}

}  // namespace

Targets targets_here() {
  const std::vector<Gpu> gpus = list_gpus().gpus;
  enable_drivers(gpus);
  const opencl::DeviceList list = opencl::list_devices();
  Targets targets = kernel_targets();
  // Targets with more capabilities come first, because a word that names several targets means the first one.
  for (const auto make : {nouveau::nouveau_targets, amdgpu::amdgpu_targets}) {
    add_with_opencl(targets, make, gpus, list);
    add(targets, make(gpus));
  }
  add(targets, opencl::opencl_targets(list));
  return targets;
}

}  // namespace faultline::agent
