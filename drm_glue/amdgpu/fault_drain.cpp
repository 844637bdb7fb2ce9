#include "drm_glue/amdgpu/fault_drain.h"

#include <errno.h>
#include <sys/mman.h>

#include <utility>

#include "drm_glue/amdgpu/device.h"
#include "drm_glue/amdgpu/memory.h"

namespace faultline::amdgpu {

FaultDrain::FaultDrain(std::unique_ptr<Copier> engine, SvmProcess& svm) : engine_(std::move(engine)) {
  page_ = mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page_ == MAP_FAILED) throw Failure("mmap", errno);
  // Not in forked processes: fork() would make it read-only here.
  int error = madvise(page_, page_bytes, MADV_DONTFORK) < 0 ? errno : 0;
  if (error == 0) error = svm.keep_in_place(reinterpret_cast<std::uintptr_t>(page_), page_bytes);
  if (error == 0) return;
  munmap(page_, page_bytes);
  throw Failure("AMDKFD_IOC_SVM", error);
}

FaultDrain::~FaultDrain() { munmap(page_, page_bytes); }

void FaultDrain::wait() {
  const std::lock_guard lock(mutex_);
  // svm_range_cpu_invalidate_pagetables() takes the entry away.
  if (madvise(page_, page_bytes, MADV_DONTNEED) < 0) throw Failure("madvise", errno);
  engine_->copy(engine_->word_address(), reinterpret_cast<std::uintptr_t>(page_), sizeof(std::uint64_t), {});
}

}  // namespace faultline::amdgpu
