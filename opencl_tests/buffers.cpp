#include "opencl_tests/buffers.h"

#include <cstdlib>

#include "opencl_tests/commands.h"

namespace faultline::opencl {

namespace {
constexpr std::size_t page_bytes = 4096;
}

Buffers::Buffers(const Device& device, const cl::Context& context, const cl::Device& on)
    : atomics_(device.svm.atomics), context_(context), device_(on) {
  const cl_platform_id platform = in_driver("clGetDeviceInfo", [&] { return on.getInfo<CL_DEVICE_PLATFORM>(); });
  if (device.has_usm()) usm_.emplace(platform);
  if (device.addresses != Addresses::none) addresses_.emplace(platform, device.addresses);
}

void* Buffers::allocate(std::size_t bytes, Backing backing) {
  Buffer buffer;
  void* start = nullptr;
  if (is_usm(backing)) {
    start = allocate_usm(bytes, backing);
  } else if (backing == Backing::device_address) {
    start = std::aligned_alloc(page_bytes, bytes);
    if (!start) throw cl::Error(CL_OUT_OF_HOST_MEMORY, "aligned_alloc");
    buffer.memory = std::make_shared<cl::Buffer>(addresses_->create(context_, bytes, start));
    buffer.device_start = addresses_->address_of(*buffer.memory);
  } else {
    const cl_svm_mem_flags shared = CL_MEM_SVM_FINE_GRAIN_BUFFER | (atomics_ ? CL_MEM_SVM_ATOMICS : 0);
    start = in_driver("clSVMAlloc", [&] {
      return clSVMAlloc(context_(), CL_MEM_READ_WRITE | (backing == Backing::svm_fine ? shared : 0), bytes, 0);
    });
  }
  if (!start) return nullptr;
  buffer.start = reinterpret_cast<std::uintptr_t>(start);
  buffer.bytes = bytes;
  buffer.backing = backing;
  const std::lock_guard lock(mutex_);
  buffers_[buffer.start] = buffer;
  return start;
}

void* Buffers::allocate_usm(std::size_t bytes, Backing backing) {
  const auto of_device = backing == Backing::usm_shared ? usm_->shared_alloc : usm_->device_alloc;
  void* start = nullptr;
  must(backing == Backing::usm_host     ? "clHostMemAllocINTEL"
       : backing == Backing::usm_shared ? "clSharedMemAllocINTEL"
                                        : "clDeviceMemAllocINTEL",
       [&] {
         cl_int error = CL_SUCCESS;
         start = backing == Backing::usm_host ? usm_->host_alloc(context_(), nullptr, bytes, 0, &error)
                                              : of_device(context_(), device_(), nullptr, bytes, 0, &error);
         return error;
       });
  return start;
}

// No command may still be using the buffer.
void Buffers::free(void* start) {
  Buffer buffer;
  {
    const std::lock_guard lock(mutex_);
    const auto found = buffers_.find(reinterpret_cast<std::uintptr_t>(start));
    buffer = found->second;
    buffers_.erase(found);
  }
  if (is_usm(buffer.backing)) {
    in_driver("clMemFreeINTEL", [&] { usm_->free(context_(), start); });
  } else if (buffer.backing == Backing::device_address) {
    in_driver("clReleaseMemObject", [&] { buffer.memory.reset(); });
    std::free(start);
  } else {
    in_driver("clSVMFree", [&] { clSVMFree(context_(), start); });
  }
}

Buffer Buffers::at(std::uintptr_t address) const {
  const std::lock_guard lock(mutex_);
  auto after = buffers_.upper_bound(address);
  if (after == buffers_.begin()) return {};
  const Buffer& found = std::prev(after)->second;
  return found.offset(address) < found.bytes ? found : Buffer{};
}

std::vector<void*> Buffers::starts(bool usm) const {
  const std::lock_guard lock(mutex_);
  std::vector<void*> starts;
  for (const auto& [start, buffer] : buffers_)
    if (is_usm(buffer.backing) == usm && buffer.backing != Backing::device_address)
      starts.push_back(reinterpret_cast<void*>(start));
  return starts;
}

}  // namespace faultline::opencl
