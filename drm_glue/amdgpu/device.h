// An open render node of amdgpu, through libdrm_amdgpu.
#pragma once

#include <amdgpu.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "harness/driver_call.h"

namespace faultline::amdgpu {

// The kernel or libdrm refused a request.
class Failure : public std::runtime_error {
 public:
  Failure(const std::string& request, int error);  // errno
  int error() const { return error_; }

 private:
  int error_;
};

// Throws Failure. libdrm's functions return negative errors.
void check(const char* request, int negative_error);
template <typename Call>
void check(const char* function, const Call& call) {
  check(function, in_driver(function, call));
}

// One client of the kernel. Only the process that made it may use it, not a forked child: a job on memory of another
// mm fails with EPERM (amdgpu_cs_list_validate). Any number of threads may use it.
class Device {
 public:
  explicit Device(const std::string& render_node);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  amdgpu_device_handle handle() const { return handle_; }
  int fd() const { return amdgpu_device_get_fd(handle_); }
  std::uint32_t family() const { return family_; }  // AMDGPU_FAMILY_*

 private:
  void deinitialize();

  amdgpu_device_handle handle_ = nullptr;
  std::uint32_t family_ = 0;
};

}  // namespace faultline::amdgpu
