#include "kernels_ref/protocol/drivers/xe_and_mlx5_workers.h"

namespace faultline::ref::protocol {

namespace {

// --- xe: object 0 is the xe_vma; marks: it is on vm->rebind_list, the worker is asked to run ---

constexpr int xe_vma = 0;
constexpr int listed = 0, asked = 1;

Task<void> rebind_worker(Kernel k, int) {
  World& w = k.world();
  while (true) {
    co_await k.until("preempt_rebind_work_func", [&w] { return w.count[asked] != 0; });
    co_await k.lock(Lock::svms, "down_write(vm->lock)");
    if (w.count[listed]) {
      k.use(xe_vma);
      const bool faults = !w.mm[0].mapped;  // xe_vma_userptr_pin_pages: -EFAULT, and the VM lives on
      if (!faults || !k.with(Variant::failed_rebind_stays_listed)) w.count[listed] = 0;
    }
    w.count[asked] = 0;
    k.unlock(Lock::svms);
  }
}

Task<void> unmap_and_unbind(Kernel k, int) {
  World& w = k.world();
  co_await k.step("munmap: invalidate() puts it onto the list");
  w.mm[0].mapped = 0;
  w.count[listed] = w.count[asked] = 1;
  co_await k.until("vm_bind: the rebind has ended", [&w] { return !w.count[asked]; });
  co_await k.lock(Lock::svms, "down_write(vm->lock)");
  k.free(xe_vma);
  k.unlock(Lock::svms);
  co_await k.step("exec: another rebind");
  w.count[asked] = 1;
  k.returns();
}

void start_xe(World& w) { w.object[xe_vma] = {Object::Life::live, 1}; }

// --- mlx5: object 0 is the region, marks: its pages, whether it is still found, and what is queued ---

constexpr int region = 0;
constexpr int pages = 0, erased = 1, queued = 2;

Task<void> invalidate_odp(Kernel k, int) {
  World& w = k.world();
  co_await k.step("mlx5_ib_invalidate_range");
  co_await k.lock(Lock::driver, "lock(umem_mutex)");
  if (w.count[pages]) --w.count[pages];
  const bool unused = w.count[pages] == 0;
  if (unused && (!w.count[erased] || k.with(Variant::destroy_work_queued_twice))) {
    w.count[erased] = 1;
    ++w.count[queued];
  }
  k.unlock(Lock::driver);
  k.returns();
}

Task<void> destroy_worker(Kernel k, int) {
  World& w = k.world();
  while (true) {
    co_await k.until("free_implicit_child_mr_work", [&w] { return w.count[queued] != 0; });
    --w.count[queued];
    k.free(region);
  }
}

void start_odp(World& w) {
  w.object[region] = {Object::Life::live, 1};
  w.count[pages] = 1;
}

void region_is_gone(World& w) {
  if (w.object[region].life == Object::Life::live) w.findings |= bit(Finding::leak);
}

}  // namespace

Protocol xe_rebind() {
  return {.name = "xe rebinds a userptr",
          .threads = {{"rebind", rebind_worker, 0, true}, {"process", unmap_and_unbind}},
          .start = start_xe};
}

Protocol odp_destroy() {
  return {.name = "mlx5 destroys an unused region",
          .threads = {{"invalidate", invalidate_odp}, {"invalidate", invalidate_odp}, {"work", destroy_worker, 0, true}},
          .start = start_odp,
          .at_end = region_is_gone};
}

}  // namespace faultline::ref::protocol
