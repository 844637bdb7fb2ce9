#include "drm_glue/amdgpu/device.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <xf86drm.h>

#include <memory>

#include "harness/outcome.h"

namespace faultline::amdgpu {

Failure::Failure(const std::string& request, int error) : std::runtime_error(request + ": " + errno_text(error)), error_(error) {}

void check(const char* request, int negative_error) {
  if (negative_error != 0) throw Failure(request, negative_error < 0 ? -negative_error : EIO);
}

Device::Device(const std::string& render_node) {
  int fd;
  do fd = open(render_node.c_str(), O_RDWR | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) throw Failure("open " + render_node, errno);
  std::uint32_t major, minor;
  // libdrm (2.4.114) does not check drmGetVersion()'s result. It crashes when the device is gone, so ask first.
  const auto get_version = [&] { return drmGetVersion(fd); };
  const auto initialize = [&] { return amdgpu_device_initialize(fd, &major, &minor, &handle_); };
  const std::unique_ptr<drmVersion, void (*)(drmVersion*)> version(in_driver("drmGetVersion", get_version), drmFreeVersion);
  const int error = version ? in_driver("amdgpu_device_initialize", initialize) : -errno;
  close(fd);  // libdrm has made its own duplicate
  check("amdgpu_device_initialize", error);
  amdgpu_gpu_info info{};
  if (const int refused = in_driver("amdgpu_query_gpu_info", [&] { return amdgpu_query_gpu_info(handle_, &info); })) {
    deinitialize();
    check("amdgpu_query_gpu_info", refused);
  }
  family_ = info.family_id;
}

Device::~Device() { deinitialize(); }

void Device::deinitialize() {
  in_driver("amdgpu_device_deinitialize", [&] { amdgpu_device_deinitialize(handle_); });
}

}  // namespace faultline::amdgpu
