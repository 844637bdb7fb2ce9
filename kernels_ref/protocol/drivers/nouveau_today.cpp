// nouveau_svm.c since the interval notifiers (Linux 5.5 and later).
#include <cerrno>

#include "kernels_ref/protocol/drivers/nouveau_2019.h"
#include "kernels_ref/protocol/machine/mm_users.h"
#include "kernels_ref/protocol/notifiers/mmu_notifier.h"

namespace faultline::ref::protocol {

namespace {

// The VMA is page 1; the fault, a write to it, comes in a window that begins with page 0.
constexpr int fault_page = 1, window_start = 0, window_last = 1;
constexpr int subscription = 0;
enum : int { answer };
enum Answer : std::uint8_t { open, mapped, cancelled, timed_out };

// Stamps only: the page's entry is dropped by the mm-wide notifier, which is always called after this one.
Task<void> nouveau_svm_range_invalidate(Kernel k, Invalidation i) {
  const bool locked = !k.with(Variant::callback_without_lock);
  if (locked) co_await k.lock(Lock::driver, "nouveau_svm_range_invalidate: mutex_lock(&svmm->mutex)");
  set_seq(k, i);
  if (locked) k.unlock(Lock::driver);
}

Task<void> nouveau_svmm_invalidate_range_start(Kernel k, int from, int to) {
  co_await k.lock(Lock::driver, "nouveau_svmm_invalidate_range_start: mutex_lock(&svmm->mutex)");
  if (k.with(Variant::invalidates_one_too_many)) ++to;
  for (int p = from; p <= to && p < max_pages; ++p) k.world().device[0].entry[p] = {};
  k.unlock(Lock::driver);
}

// mm/hmm.c today, under mmap_lock, which it never drops.
Task<Snapshot> hmm_range_fault(Kernel k, int from, int to, bool write, int seq) {
  World& w = k.world();
  Mm& mm = w.mm[0];
  co_await k.step("hmm_range_fault");
  k.needs(Lock::mmap_a);
  if (w.subscription[subscription].seq != seq) co_return {-EBUSY, {}};
  if (!mm.mapped || from < mm.vma_start) co_return {-EFAULT, {}};
  co_await k.step("hmm_range_fault: walk_page_range");
  Page& pte = mm.page[to];
  if (write) pte.writable = 1;  // handle_mm_fault
  co_return {1, pte};
}

Task<int> nouveau_range_fault(Kernel k, int from, int to, int circumstance) {
  World& w = k.world();
  bool write = true;
  co_await insert(k, subscription, 0, from, to);
  int ret = 0;
  while (true) {
    if (co_await k.choose("nouveau_range_fault: time_after(jiffies, timeout)", circumstance & time_runs_out ? 2 : 1)) {
      ret = -ETIME;  // -EBUSY in the kernel; told apart here
      break;
    }
    const int seq = co_await read_begin(k, subscription);
    co_await k.read_lock(Lock::mmap_a, "nouveau_range_fault: mmap_read_lock");
    const Snapshot got = co_await hmm_range_fault(k, from, to, write, seq);
    k.read_unlock(Lock::mmap_a);
    ret = got.result > 0 ? 0 : got.result;
    if (ret == -EBUSY) {
      if (k.with(Variant::ebusy_clears_request)) write = false;
      continue;
    }
    if (ret) break;
    co_await k.lock(Lock::driver, "nouveau_range_fault: mutex_lock(&svmm->mutex)");
    if (read_retry(k, subscription, seq)) {
      k.unlock(Lock::driver);
      continue;
    }
    co_await k.step("nouveau_range_fault: nvif_object_ioctl");
    w.device[0].entry[to] = got.seen;
    k.unlock(Lock::driver);
    break;
  }
  co_await remove(k, subscription);
  co_return ret;
}

Task<void> nouveau_svm_fault(Kernel k, int circumstance) {
  World& w = k.world();
  const bool dying = co_await is_dying(k, 0);
  if (!dying) co_await k.step("nouveau_svm_fault: mmget_not_zero");
  if (dying || !mmget_not_zero(k, 0)) {
    k.record().result[answer] = cancelled;
    co_return;
  }
  co_await k.read_lock(Lock::mmap_a, "nouveau_svm_fault: mmap_read_lock");
  const bool vma = w.mm[0].mapped;  // find_vma_intersection
  const bool clamp = w.mm[0].vma_start > window_start && !k.with(Variant::window_not_clamped);
  const int start = clamp ? w.mm[0].vma_start : window_start;
  k.read_unlock(Lock::mmap_a);
  int ret = -EFAULT;
  if (vma) ret = co_await nouveau_range_fault(k, start, window_last, circumstance);
  k.record().result[answer] = ret == 0 ? mapped : ret == -ETIME ? timed_out : cancelled;
  k.returns();
  if (vma || !k.with(Variant::error_path_keeps_mm)) co_await mmput(k, 0);
}

Task<void> replace(Kernel k, int page) {
  co_await invalidate_range_start(k, 0, page, page, nouveau_svm_range_invalidate);
  co_await nouveau_svmm_invalidate_range_start(k, page, page);
  co_await k.step("migrate_pages: replace the PTE");
  ++k.world().mm[0].page[page].frame;
  co_await invalidate_range_end(k, 0);
}

Task<void> migrate(Kernel k, int rounds) {
  for (int round = 0; round < rounds; ++round) co_await replace(k, fault_page);
  k.returns();
}

Task<void> munmap(Kernel k, int) {
  World& w = k.world();
  co_await k.lock(Lock::mmap_a, "munmap: mmap_write_lock");
  w.mm[0].mapped = 0;
  k.downgrade(Lock::mmap_a);
  co_await invalidate_range_start(k, 0, fault_page, fault_page, nouveau_svm_range_invalidate);
  co_await nouveau_svmm_invalidate_range_start(k, fault_page, fault_page);
  co_await k.step("munmap: unmap_vmas");
  w.mm[0].page[fault_page] = {};
  co_await invalidate_range_end(k, 0);
  k.read_unlock(Lock::mmap_a);
  k.returns();
}

// A device access to a page while its neighbour is replaced.
Task<void> access_neighbour(Kernel k, int) {
  co_await k.step("the device accesses page 1");
  if (k.world().device[0].entry[fault_page].frame == 0) k.find(Finding::needless_fault);
}

Task<void> exit_process(Kernel k, int) {
  co_await mmput(k, 0);
  k.returns();
}

void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].seq = 2;
  w.mm[0].vma_start = fault_page;
  w.mm[0].page[fault_page] = {1, 0};
}

void entry_is_current(World& w) {
  const Page& entry = w.device[0].entry[fault_page];
  const bool live = w.mm[0].mapped && w.mm[0].active == 0;
  if (live && entry.frame != 0 && entry.frame != w.mm[0].page[fault_page].frame) w.findings |= bit(Finding::stale_entry);
}

// The page was there throughout: only a fault that came after the exit, or ran out of time, may fail.
void answered(World& w) {
  const Page& entry = w.device[0].entry[fault_page];
  if (w.record[0].result[answer] == cancelled && w.mm[0].users > 0) w.findings |= bit(Finding::wrong_result);
  if (w.record[0].result[answer] == mapped && entry.frame != 0 && !entry.writable) w.findings |= bit(Finding::wrong_result);
  if (w.mm[0].users > 1 || w.subscription[subscription].in_tree) w.findings |= bit(Finding::leak);
}

void both_mapped(World& w) {
  start(w);
  w.mm[0].vma_start = 0;
  w.mm[0].page[0] = {1, 1};
  w.device[0].entry = w.mm[0].page;
}

void mm_is_left(World& w) {
  if (w.mm[0].users > 1 || w.subscription[subscription].in_tree) w.findings |= bit(Finding::leak);
}

}  // namespace

Protocol nouveau_today(int circumstance) {
  return {.name = "nouveau_svm_fault today",
          .threads = {{"fault worker", nouveau_svm_fault, circumstance}, {"migration", migrate, 2}},
          .start = start,
          .always = entry_is_current,
          .at_end = answered};
}

Protocol nouveau_today_exit() {
  return {.name = "nouveau_svm_fault today, against exit",
          .threads = {{"fault worker", nouveau_svm_fault, quiet}, {"migration", migrate, 1}, {"exit", exit_process}},
          .start = start,
          .always = entry_is_current,
          .at_end =
              [](World& w) {
                if (w.mm[0].users > 0 || w.subscription[subscription].in_tree) w.findings |= bit(Finding::leak);
              },
          .outcome = [](const World& w) -> std::string { return w.record[0].result[answer] == mapped ? "mapped" : "cancelled"; }};
}

Protocol nouveau_today_munmap() {
  return {.name = "nouveau_svm_fault today, against munmap",
          .threads = {{"fault worker", nouveau_svm_fault, quiet}, {"munmap", munmap}},
          .start = start,
          .always = entry_is_current,
          .at_end = mm_is_left};
}

Protocol nouveau_today_neighbour() {
  return {.name = "nouveau, a page whose neighbour is replaced",
          .threads = {{"device", access_neighbour}, {"migration", replace, 0}},
          .start = both_mapped};
}

}  // namespace faultline::ref::protocol
