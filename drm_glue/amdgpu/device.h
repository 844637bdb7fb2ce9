// An open render node of amdgpu, by libdrm_amdgpu.
#pragma once

#include <amdgpu.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "harness/driver_call.h"

namespace faultline::amdgpu {

// A request that the kernel, or libdrm for it, did not do.
class Failure : public std::runtime_error {
 public:
  Failure(const std::string& request, int error);  // errno
  int error() const { return error_; }

 private:
  int error_;
};

// Of a function of libdrm, which gives negative errors.
void check(const char* request, int negative_error);
template <typename Call>
void check(const char* function, const Call& call) {
  check(function, in_driver(function, call));
}

// One client of the kernel. Serves the process that made it, not one that is forked from it: a job on memory of
// another mm is EPERM (amdgpu_cs_list_validate). Any number of threads may use it.
class Device {
 public:
  // Where BOs have their addresses: anywhere, or where no process has any, since the process's own mean its memory too.
  enum class Addresses { any, not_of_processes };
  explicit Device(const std::string& render_node, Addresses addresses = Addresses::any);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  amdgpu_device_handle handle() const { return handle_; }
  int fd() const { return amdgpu_device_get_fd(handle_); }
  std::uint32_t family() const { return family_; }  // AMDGPU_FAMILY_*
  Addresses addresses() const { return addresses_; }

 private:
  void deinitialize();

  amdgpu_device_handle handle_ = nullptr;
  std::uint32_t family_ = 0;
  const Addresses addresses_;
};

}  // namespace faultline::amdgpu
