// A queue of an SDMA engine that the process drives itself, as ROCm does: its ring and pointers are in memory of the process,
// and a doorbell tells the engine (amdkfd: AMDKFD_IOC_CREATE_QUEUE). No kernel thread sees the packets; the driver only
// stops the queue (evicts it) and gives it back.
#pragma once

#include <cstdint>

#include "drm_glue/amdgpu/copier.h"
#include "drm_glue/amdgpu/svm.h"

namespace faultline::amdgpu {

// Memory for CPU and GPU at one address, in GTT. Failure: ENOMEM and other errors of KFD's requests and mmap().
class SharedMemory {
 public:
  SharedMemory(SvmProcess& process, std::size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(at_); }

 private:
  void release();

  SvmProcess& process_;
  const std::size_t bytes_;
  void* at_;
  kfd::Kfd::Memory memory_;
  bool allocated_ = false, mapped_ = false;
};

// For one thread at a time. The packets and the doorbells are those of gfx9.
class UserQueue : public Copier {
 public:
  // Failure: ENOTSUP: another family than gfx9; ENOMEM: the GPU has no more queues.
  UserQueue(SvmProcess& process, std::uint32_t family);
  ~UserQueue() override;
  UserQueue(const UserQueue&) = delete;
  UserQueue& operator=(const UserQueue&) = delete;

  // `to` and `from` are addresses of the process. Waits as long as it takes: for the driver, which answers a fault or gives
  // the queue back. Failure: ENODEV: the driver has stopped the process's queues for good (kfd_process_vm_fault).
  void copy(std::uint64_t to, std::uint64_t from, std::uint32_t bytes, std::span<const std::uint32_t> buffers = {}) override;

  std::uint64_t& word() override { return *at<std::uint64_t>(word_offset); }
  std::uint64_t word_address() const override { return page_.address() + word_offset; }

 private:
  static constexpr std::uint32_t ring_bytes = 4096;
  // In `page_`. Each has a cache line.
  static constexpr std::size_t write_offset = 0, read_offset = 128, fence_offset = 256, word_offset = 384;

  template <class T>
  T* at(std::size_t offset) const {
    return reinterpret_cast<T*>(page_.address() + offset);
  }

  SvmProcess& process_;
  const std::uint32_t family_;
  SharedMemory ring_, page_;
  std::uint32_t queue_ = 0;
  void* doorbells_;
  std::uint64_t* doorbell_ = nullptr;
  std::uint64_t written_ = 0;  // bytes, since the queue was made
  std::uint32_t copies_ = 0;
};

}  // namespace faultline::amdgpu
