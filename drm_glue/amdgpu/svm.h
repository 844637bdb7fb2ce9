// Shared virtual memory of this process and one GPU, through KFD (amdkfd/kfd_svm.c): migrates pages and collects the
// driver's events about them.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "drm_glue/kfd/kfd.h"
#include "drm_glue/kfd/smi_event.h"
#include "harness/target.h"

namespace faultline::amdgpu {

// The history of the page at `address`; `gpu` is KFD's id of the GPU. Events that the program did not cause (VRAM was
// short, another user's buffers were evicted) are a gap in the history.
PageHistory history_of(std::uintptr_t address, const std::vector<kfd::SmiEvent>& events, std::uint32_t gpu);

// Whether queues stand still after these events. Evictions nest (qpd->evicted), for their reasons are independent.
bool is_stopped(std::span<const kfd::SmiEvent> events);
// An eviction that the program did not cause, and whose restore is still to come. That restore, from restore_process_worker, is a
// part of what follows, where nothing would explain it. Empty: there is none.
std::vector<kfd::SmiEvent> unfinished(std::span<const kfd::SmiEvent> events);

// KFD keeps one process structure per mm, with one VM per GPU. So a process has one SvmProcess. Any number of threads
// may use it.
class SvmProcess {
 public:
  SvmProcess(std::uint32_t gpu, std::string render_node, Kernel& kernel = real_kernel())
      : gpu_(gpu), render_node_(std::move(render_node)), kernel_(kernel), kfd_(kernel) {}
  ~SvmProcess();
  SvmProcess(const SvmProcess&) = delete;
  SvmProcess& operator=(const SvmProcess&) = delete;

  // All requests return an errno. EBUSY: another part of the process has queues in the other XNACK mode.
  int open(kfd::Xnack mode);

  // Once it is open.
  kfd::Kfd& kfd() { return kfd_; }
  std::uint32_t gpu() const { return gpu_; }
  int node() const { return node_; }

  // Gives the GPU access to the page. Without XNACK the driver maps it (svm_range_set_attr: KFD_IOCTL_SVM_ATTR_ACCESS), and
  // maps it again whenever it changes. EFAULT: no mapping is there.
  int give_access(std::uintptr_t address);
  // Gives the GPU access to the pages and prefetches them (svm_range_set_attr: KFD_IOCTL_SVM_ATTR_PREFETCH_LOC).
  int migrate(std::uintptr_t address, std::size_t bytes, bool to_device);

  // Lets the GPU reach the pages where they are: its faults do not move them (KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE).
  int keep_in_place(std::uintptr_t address, std::size_t bytes);

  // Reads the pending events, before the kernel's buffer is full.
  int keep_up();
  // Whether the driver has reported an access that it could not resolve. It then runs no queue of the process again.
  bool has_faulted();
  // Waits until the driver has told the end of each fault that it began. A page is mapped, and the access goes on, before
  // svm_range_restore_pages() tells the end of its fault. Then waits until all queues that the driver stopped run again: its
  // worker (svm_range_restore_work) maps the changed pages some milliseconds later and restarts the queues. Both waits have a
  // limit: a fault whose migration fails has no end, and the worker fails where nothing is mapped any more. A forked child
  // does not wait: the ranges are its parent's.
  void settle();
  // Settles, then gives the events since the last forget_history().
  int history(std::uintptr_t address, PageHistory& history);
  void forget_history();

 private:
  int set(std::uintptr_t address, std::size_t bytes, std::span<const kfd_ioctl_svm_attribute> attributes);
  int read_events();
  int wait_for_worker(int patience_ms);

  // How long to wait for the worker, which runs some milliseconds after an eviction and again after a failure.
  static constexpr int restored_ms = 1000;
  static constexpr int forgotten_ms = 200;  // in forget_history()

  const std::uint32_t gpu_;
  const std::string render_node_;
  const pid_t owner_ = getpid();
  Kernel& kernel_;
  std::mutex mutex_;
  kfd::Kfd kfd_;
  int node_ = -1;
  int events_descriptor_ = -1;
  kfd::SmiStream stream_;
  std::vector<kfd::SmiEvent> events_;
  bool faulted_ = false;
};

}  // namespace faultline::amdgpu
