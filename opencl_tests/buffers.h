// The buffers of a Runtime, of every kind that its device has, by their host addresses.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "harness/program.h"
#include "opencl_tests/cl.h"
#include "opencl_tests/device_list.h"

namespace faultline::opencl {

struct Buffer {
  std::uintptr_t start = 0;
  std::size_t bytes = 0;
  Backing backing = Backing::none;     // none: not in a buffer
  std::shared_ptr<cl::Buffer> memory;  // for device_address: the cl_mem over the host memory
  cl_ulong device_start = 0;           // for device_address: the buffer's address on the device

  std::size_t offset(std::uintptr_t address) const { return address - start; }
};

class Buffers {
 public:
  Buffers(const Device& device, const cl::Context& context, const cl::Device& on);

  void* allocate(std::size_t bytes, Backing backing);  // null if clSVMAlloc fails: it gives no error code
  void free(void* start);
  Buffer at(std::uintptr_t address) const;
  std::vector<void*> starts(bool usm) const;  // of all USM, or of all SVM

  // Only for devices that have the extension.
  const UsmCalls& usm() const { return *usm_; }
  const AddressCalls& addresses() const { return *addresses_; }

 private:
  void* allocate_usm(std::size_t bytes, Backing backing);

  const bool atomics_;
  const cl::Context context_;
  const cl::Device device_;
  std::optional<UsmCalls> usm_;
  std::optional<AddressCalls> addresses_;
  mutable std::mutex mutex_;
  std::map<std::uintptr_t, Buffer> buffers_;  // by start
};

}  // namespace faultline::opencl
