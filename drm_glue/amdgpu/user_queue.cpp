#include "drm_glue/amdgpu/user_queue.h"

#include <amdgpu_drm.h>
#include <errno.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>

#include "drm_glue/amdgpu/device.h"
#include "drm_glue/amdgpu/memory.h"

namespace faultline::amdgpu {
namespace {

constexpr std::size_t request_words = 16;  // a request has as many, so that none is cut in two by the ring's end

void must(const char* request, int error) {
  if (error != 0) throw Failure(request, error);
}

}  // namespace

SharedMemory::SharedMemory(SvmProcess& process, std::size_t bytes) : process_(process), bytes_(bytes) {
  at_ = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at_ == MAP_FAILED) throw Failure("mmap", errno);
  kfd::Kfd& kfd = process.kfd();
  try {
    must("AMDKFD_IOC_ALLOC_MEMORY_OF_GPU", kfd.allocate(process.gpu(), address(), bytes, memory_));
    allocated_ = true;
    must("AMDKFD_IOC_MAP_MEMORY_TO_GPU", kfd.map_to_gpu(process.gpu(), memory_.handle));
    mapped_ = true;
    const auto offset = static_cast<off_t>(memory_.offset);
    if (mmap(at_, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, process.node(), offset) == MAP_FAILED)
      throw Failure("mmap of the render node", errno);
    if (madvise(at_, bytes, MADV_DONTFORK) != 0) throw Failure("madvise", errno);
  } catch (...) {
    release();
    throw;
  }
}

SharedMemory::~SharedMemory() { release(); }

void SharedMemory::release() {
  kfd::Kfd& kfd = process_.kfd();
  if (mapped_) kfd.unmap_from_gpu(process_.gpu(), memory_.handle);
  munmap(at_, bytes_);
  if (allocated_) kfd.free(memory_.handle);
}

UserQueue::UserQueue(SvmProcess& process, std::uint32_t family)
    : process_(process), family_(family), ring_(process, ring_bytes), page_(process, page_bytes) {
  if (family != AMDGPU_FAMILY_AI)
    throw Failure("user queues of another GPU than gfx9, with other packets and doorbells", ENOTSUP);
  std::uint64_t doorbell = 0;
  must("AMDKFD_IOC_CREATE_QUEUE",
       process.kfd().create_sdma_queue(process.gpu(), ring_.address(), ring_bytes, page_.address() + read_offset,
                                       page_.address() + write_offset, queue_, doorbell));
  doorbells_ = process.kfd().map_doorbells(doorbell);
  if (doorbells_ == MAP_FAILED) {
    const int error = errno;
    process.kfd().destroy_queue(queue_);
    throw Failure("mmap of the doorbells", error);
  }
  doorbell_ = reinterpret_cast<std::uint64_t*>(static_cast<std::byte*>(doorbells_) + doorbell % kfd::Kfd::doorbell_bytes);
}

UserQueue::~UserQueue() {
  process_.kfd().destroy_queue(queue_);
  munmap(doorbells_, kfd::Kfd::doorbell_bytes);
}

void UserQueue::copy(std::uint64_t to, std::uint64_t from, std::uint32_t bytes, std::span<const std::uint32_t>) {
  std::uint32_t request[request_words] = {};  // a word of 0 is a NOP
  const auto end = std::ranges::copy(copy_linear(family_, to, from, bytes), request).out;
  std::ranges::copy(fence(page_.address() + fence_offset, ++copies_), end);
  std::ranges::copy(request, reinterpret_cast<std::uint32_t*>(ring_.address() + written_ % ring_bytes));
  written_ += sizeof request;
  // The driver reads the pointer when it gives a stopped queue back (kgd_hqd_sdma_load), so it is written before the doorbell
  // rings, which hardware may lose until then.
  std::atomic_ref(*at<std::uint64_t>(write_offset)).store(written_, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  std::atomic_ref(*doorbell_).store(written_, std::memory_order_relaxed);

  const std::atomic_ref done(*at<std::uint32_t>(fence_offset));
  constexpr long first_ns = 20'000, longest_ns = 5'000'000;
  for (timespec pause{0, first_ns}; done.load(std::memory_order_acquire) != copies_;) {
    nanosleep(&pause, nullptr);
    pause.tv_nsec = std::min(2 * pause.tv_nsec, longest_ns);
    if (pause.tv_nsec == longest_ns && process_.has_faulted())
      throw Failure("a VM fault of this process has stopped its queues for good", ENODEV);
  }
}

}  // namespace faultline::amdgpu
