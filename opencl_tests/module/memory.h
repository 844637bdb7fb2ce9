// Memory that host and device share: allocations of clSVMAlloc, system memory, and buffers over either.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "opencl_tests/module/device.h"

namespace faultline::svm {

// A range of addresses. The host may read and write it when the rules of its SVM level allow that.
class Memory {
 public:
  virtual ~Memory() = default;
  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(data_); }
  // Throws std::out_of_range if offset and length are not inside the range.
  std::byte* at(std::size_t offset, std::size_t length) const;

 protected:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// clSVMAlloc, and clSVMFree at the end. clSVMAlloc gives no error code, so a null pointer becomes an Error.
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

// Anonymous memory with the given alignment, for fine-grained system SVM.
class SystemMemory : public Memory {
 public:
  SystemMemory(std::size_t size, std::size_t alignment);
  ~SystemMemory() override;
  SystemMemory(const SystemMemory&) = delete;
  SystemMemory& operator=(const SystemMemory&) = delete;
};

// The module's own static data: always the same few pages.
class StaticMemory : public Memory {
 public:
  StaticMemory();
};

// Memory on the stack of the calling thread, while `use` runs.
void on_stack(std::size_t size, const std::function<void(std::shared_ptr<Memory>)>& use);

class Buffer {
 public:
  // `host`: null, or a host pointer as the flags require. `keep`: an object that must live as long as the buffer.
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
