// The buffers of a Runtime, of every kind that its device has, by the addresses that the host knows them by.
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
  std::shared_ptr<cl::Buffer> memory;  // of a device_address one, over its memory of the host
  cl_ulong device_start = 0;           // ... and where it is on the device

  std::size_t offset(std::uintptr_t address) const { return address - start; }
};

class Buffers {
 public:
  Buffers(const Device& device, const cl::Context& context, const cl::Device& on);

  void* allocate(std::size_t bytes, Backing backing);  // null where clSVMAlloc gives nothing, which tells no error
  void free(void* start);
  Buffer at(std::uintptr_t address) const;
  std::vector<void*> starts(bool usm) const;  // of all USM, or of all SVM

  // Of a device that has them.
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
