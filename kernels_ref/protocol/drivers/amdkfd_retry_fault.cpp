#include "kernels_ref/protocol/drivers/amdkfd_retry_fault.h"

namespace faultline::ref::protocol {

namespace {

enum : int { answer };
enum Answer : std::uint8_t { open, handled, failed };

// True: handled, or stale.
Task<bool> svm_range_restore_pages(Kernel k) {
  World& w = k.world();
  co_await k.read_lock(Lock::mmap_a, "svm_range_restore_pages: mmap_read_lock");
  co_await k.lock(Lock::svms, "svm_range_restore_pages: mutex_lock(&svms->lock)");
  bool done = true;
  if (w.mm[0].mapped) {
    co_await k.step("svm_range_validate_and_map");
    w.device[0].entry[0] = w.mm[0].page[0];
  } else {
    // Once the unmap has set its checkpoint, older faults are drained. Before that, the entry shows a stale fault.
    const bool drained = w.device[0].stopped;
    const bool still_mapped = w.device[0].entry[0].frame != 0 && !k.with(Variant::stale_fault_fails);
    done = drained || still_mapped;
  }
  k.unlock(Lock::svms);
  k.read_unlock(Lock::mmap_a);
  co_return done;
}

Task<void> fault_worker(Kernel k, int) {
  k.record().result[answer] = co_await svm_range_restore_pages(k) ? handled : failed;
  k.returns();
}

Task<void> munmap(Kernel k, int) {
  World& w = k.world();
  co_await k.lock(Lock::mmap_a, "munmap: mmap_write_lock");
  w.mm[0].mapped = 0;
  k.downgrade(Lock::mmap_a);
  co_await k.lock(Lock::svms, "svm_range_unmap_from_cpu: checkpoint, unmap from the device");
  w.device[0].stopped = 1;
  w.device[0].entry[0] = {};
  k.unlock(Lock::svms);
  co_await k.step("munmap: unmap_vmas");
  w.mm[0].page[0] = {};
  k.read_unlock(Lock::mmap_a);
  k.returns();
}

void start(World& w) {
  w.mm[0].page[0] = {1, 1};
  w.device[0].entry[0] = {1, 1};
}

void not_failed(World& w) {
  if (w.record[0].result[answer] == failed) w.findings |= bit(Finding::wrong_result);
}

}  // namespace

Protocol retry_fault() {
  return {.name = "a late retry fault against munmap",
          .threads = {{"fault worker", fault_worker}, {"munmap", munmap}},
          .start = start,
          .at_end = not_failed};
}

}  // namespace faultline::ref::protocol
