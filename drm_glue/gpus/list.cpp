#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <xf86drm.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "drm_glue/gpus/ask.h"
#include "harness/outcome.h"

namespace faultline {
namespace {

struct Devices {
  std::vector<drmDevicePtr> all;
  ~Devices() { drmFreeDevices(all.data(), static_cast<int>(all.size())); }
};

// drmGetDevices2(). A device that appears between the two calls is missed.
int find_devices(Devices& devices) {
  const int count = drmGetDevices2(DRM_DEVICE_GET_PCI_REVISION, nullptr, 0);
  if (count <= 0) return -count;
  devices.all.resize(static_cast<std::size_t>(count));
  const int got = drmGetDevices2(DRM_DEVICE_GET_PCI_REVISION, devices.all.data(), count);
  devices.all.resize(static_cast<std::size_t>(std::max(got, 0)));
  return std::max(-got, 0);
}

std::string node(const drmDevice& device, int kind) { return device.available_nodes & (1 << kind) ? device.nodes[kind] : ""; }

// Why libdrm lists nothing.
std::string why_nothing() {
  std::error_code error;
  for (std::filesystem::directory_iterator at("/dev/dri", error), end; !error && at != end; at.increment(error))
    if (const std::string name = at->path().filename(); name.starts_with("renderD"))
      return "there is /dev/dri/" + name + ", but /sys does not tell libdrm which device it is";
  return "no render node in /dev/dri";
}

void identify(Gpu& gpu, const drmDevice& device) {
  if (device.bustype != DRM_BUS_PCI) {
    if (device.bustype == DRM_BUS_PLATFORM) gpu.bus = device.businfo.platform->fullname;
    return;
  }
  char bus[32];
  const drmPciBusInfo& at = *device.businfo.pci;
  std::snprintf(bus, sizeof bus, "%04x:%02x:%02x.%u", at.domain, at.bus, at.dev, at.func);
  gpu.bus = bus;
  gpu.vendor = device.deviceinfo.pci->vendor_id;
  gpu.device = device.deviceinfo.pci->device_id;
  gpu.revision = device.deviceinfo.pci->revision_id;
  gpu.driver = pci_driver(gpu.bus);
  gpu.power = first_line("/sys/bus/pci/devices/" + gpu.bus + "/power/runtime_status");
}

void ask_version(Gpu& gpu, int fd) {
  const std::unique_ptr<drmVersion, void (*)(drmVersion*)> version(drmGetVersion(fd), drmFreeVersion);
  if (!version) {
    gpu.unknown.push_back("driver version: " + errno_text(errno));
    return;
  }
  gpu.driver = std::string(version->name, static_cast<std::size_t>(version->name_len));
  gpu.driver_version = std::to_string(version->version_major) + "." + std::to_string(version->version_minor) + "." +
                       std::to_string(version->version_patchlevel);
}

Gpu ask(const drmDevice& device, const KernelConfig& config) {
  Gpu gpu{.render_node = node(device, DRM_NODE_RENDER), .card_node = node(device, DRM_NODE_PRIMARY)};
  identify(gpu, device);
  int fd;
  do fd = open(gpu.render_node.c_str(), O_RDWR | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    gpu.svm = cannot_open(gpu.render_node, errno);
    return gpu;
  }
  ask_version(gpu, fd);
  struct stat status {};
  if (gpu.driver == "nouveau") {
    ask_nouveau(gpu, fd, config);
  } else if (gpu.driver == "amdgpu") {
    ask_amdgpu(gpu, fd, config);
    if (fstat(fd, &status) == 0) gpu.svm = ask_amdgpu_svm(gpu, minor(status.st_rdev), config);
  } else {
    const std::string other = driver_with_svm(gpu.vendor);
    gpu.svm = {.why_not = "SVM is known of amdgpu and nouveau only", .help = other.empty() ? "" : "the driver " + other};
  }
  close(fd);
  return gpu;
}

}  // namespace

GpuList list_gpus() {
  GpuList list;
  Devices devices;
  const int error = find_devices(devices);
  if (error == ENOENT || (error == 0 && devices.all.empty())) {
    list.why_none = why_nothing();
  } else if (error != 0) {
    list.why_none = "/dev/dri cannot be read: " + errno_text(error);
  } else {
    const KernelConfig config = KernelConfig::read();
    std::string others;
    for (const drmDevicePtr& device : devices.all) {
      if (device->available_nodes & (1 << DRM_NODE_RENDER)) list.gpus.push_back(ask(*device, config));
      else others += (others.empty() ? "" : ", ") + node(*device, DRM_NODE_PRIMARY);
    }
    std::ranges::sort(list.gpus, {}, &Gpu::render_node);
    if (list.gpus.empty() && !others.empty()) list.why_none = "no render node in /dev/dri, only " + others + ", for pictures";
  }
  std::vector<std::string> known;
  for (const Gpu& gpu : list.gpus) known.push_back(gpu.bus);
  std::ranges::copy(gpus_without_drm(known), std::back_inserter(list.gpus));
  return list;
}

}  // namespace faultline
