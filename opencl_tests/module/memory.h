// Memory that host and device share: allocations of clSVMAlloc, pages of the system, and buffers over either.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "opencl_tests/module/device.h"

namespace faultline::svm {

// A range of addresses that the host may read and write when the rules of its level allow it.
class Memory {
 public:
  virtual ~Memory() = default;
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(data_); }
  // Throws std::out_of_range where offset and length do not lie in it.
  std::byte* at(std::size_t offset, std::size_t length) const;

 protected:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// clSVMAlloc, and clSVMFree at the end. A null pointer becomes the Error, since the call has no code.
class SvmMemory : public Memory {
 public:
  SvmMemory(std::shared_ptr<Context> context, cl_svm_mem_flags flags, std::size_t size, cl_uint alignment);
  ~SvmMemory() override;
  SvmMemory(const SvmMemory&) = delete;
  SvmMemory& operator=(const SvmMemory&) = delete;
  // Somebody else frees it: clEnqueueSVMFree.
  void forget();
  void free();

 private:
  std::shared_ptr<Context> context_;
};

// Anonymous memory of the system, at an address aligned so far, for fine-grained system sharing.
class SystemMemory : public Memory {
 public:
  SystemMemory(std::size_t size, std::size_t alignment);
  ~SystemMemory() override;
  SystemMemory(const SystemMemory&) = delete;
  SystemMemory& operator=(const SystemMemory&) = delete;
};

// The module's own static data: a few pages, one and the same each time.
class StaticMemory : public Memory {
 public:
  StaticMemory();
};

// Memory on the stack of the calling thread, while `use` runs.
void on_stack(std::size_t size, const std::function<void(std::shared_ptr<Memory>)>& use);

class Buffer {
 public:
  // host is null, or what the flags say about a host pointer. keep: what has to live as long.
  Buffer(std::shared_ptr<Context> context, cl_mem_flags flags, std::size_t size, void* host, std::shared_ptr<void> keep);
  // clCreateSubBuffer
  Buffer(std::shared_ptr<Buffer> parent, cl_mem_flags flags, std::size_t origin, std::size_t size);

  cl_mem get() const { return handle_.get(); }
  std::size_t size() const { return size_; }
  bool uses_svm_pointer() const;
  cl_mem_flags flags() const;

 private:
  std::shared_ptr<void> keep_;
  std::shared_ptr<Context> context_;
  std::size_t size_;
  MemoryHandle handle_;
};

}  // namespace faultline::svm
