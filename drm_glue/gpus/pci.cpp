// GPUs on PCI that DRM does not list: another driver has them, or none.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "drm_glue/gpus/ask.h"

namespace faultline {
namespace {

constexpr unsigned amd = 0x1002, nvidia = 0x10de;

unsigned long number(const std::string& path) { return std::strtoul(first_line(path).c_str(), nullptr, 0); }

// PCI_BASE_CLASS_DISPLAY, or processing accelerators: the class of GPUs without a display.
bool of_a_gpu(unsigned long pci_class) { return pci_class >> 16 == 0x03 || pci_class >> 16 == 0x12; }

}  // namespace

std::string pci_driver(const std::string& bus) {
  std::error_code none;
  return std::filesystem::read_symlink("/sys/bus/pci/devices/" + bus + "/driver", none).filename();
}

std::string driver_with_svm(unsigned vendor) { return vendor == amd ? "amdgpu" : vendor == nvidia ? "nouveau" : ""; }

std::vector<Gpu> gpus_without_drm(const std::vector<std::string>& known) {
  std::vector<Gpu> gpus;
  std::error_code error;
  using Entries = std::filesystem::directory_iterator;
  for (Entries at("/sys/bus/pci/devices", error), end; !error && at != end; at.increment(error)) {
    const std::string path = at->path();
    Gpu gpu{.bus = at->path().filename()};
    gpu.vendor = static_cast<std::uint16_t>(number(path + "/vendor"));
    const std::string wanted = driver_with_svm(gpu.vendor);
    if (wanted.empty() || !of_a_gpu(number(path + "/class")) || std::ranges::count(known, gpu.bus)) continue;
    gpu.device = static_cast<std::uint16_t>(number(path + "/device"));
    gpu.revision = static_cast<std::uint8_t>(number(path + "/revision"));
    gpu.driver = pci_driver(gpu.bus);
    gpu.svm.why_not = gpu.driver.empty() ? "it has no driver" : "libdrm knows no render node of it in /dev/dri";
    gpu.svm.help = gpu.driver == wanted ? "the kernel log tells more" : "the driver " + wanted;
    gpus.push_back(gpu);
  }
  std::ranges::sort(gpus, {}, &Gpu::bus);
  return gpus;
}

}  // namespace faultline
