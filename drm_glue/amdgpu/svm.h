// A process's shared virtual memory with one GPU through KFD (amdkfd/kfd_svm.c): where its pages go, and what the
// driver tells of them.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "drm_glue/kfd/kfd.h"
#include "drm_glue/kfd/smi_event.h"
#include "harness/target.h"

namespace faultline::amdgpu {

// What `events` say of the page at `address`, by the GPU `gpu`'s own id. Events that the kernel has for reasons that
// are not the program's (VRAM was short, another user's buffers were evicted) are a gap.
PageHistory history_of(std::uintptr_t address, const std::vector<kfd::SmiEvent>& events, std::uint32_t gpu);

// KFD keeps one process structure and one VM a GPU for an mm, so there is one of these in a process. Any number of
// threads may use it.
class SvmProcess {
 public:
  SvmProcess(std::uint32_t gpu, std::string render_node, Kernel& kernel = real_kernel())
      : gpu_(gpu), render_node_(std::move(render_node)), kernel_(kernel), kfd_(kernel) {}
  ~SvmProcess();
  SvmProcess(const SvmProcess&) = delete;
  SvmProcess& operator=(const SvmProcess&) = delete;

  // All requests give an errno. EBUSY: another part of the process has queues, in the other XNACK mode.
  int open(kfd::Xnack mode);
  // Jobs through that open node reach the ranges: its VM becomes the process's (amdgpu_vm_make_compute), if no BO is mapped
  // there yet (EINVAL), and nobody's is (EBUSY).
  int open(kfd::Xnack mode, int node);

  // Prefetches (svm_range_set_attr: KFD_IOCTL_SVM_ATTR_PREFETCH_LOC), and lets the GPU reach the pages.
  int migrate(std::uintptr_t address, std::size_t bytes, bool to_device);

  // Takes what was told, while the kernel has room for more.
  int keep_up();
  // Waits until the queues run that the driver has stopped: its worker (svm_range_restore_work) maps what has changed, some
  // milliseconds later. Not for ever: it cannot where nothing is mapped any more. A process that was forked from the one
  // that has the ranges does not wait.
  void settle();
  // Once settled, what was told since the last forget_history().
  int history(std::uintptr_t address, PageHistory& history);
  void forget_history();

 private:
  int set_up(kfd::Xnack mode);
  int read_events();
  bool stopped() const;
  int wait_for_worker(int patience_ms);

  // The worker runs after one, and again where it failed.
  static constexpr int restored_ms = 1000;
  static constexpr int forgotten_ms = 200;  // between uses

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
};

}  // namespace faultline::amdgpu
