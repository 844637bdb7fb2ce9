#include "kernels_ref/protocol/drivers/amdkfd_vram.h"

#include "kernels_ref/protocol/fork/cow.h"

namespace faultline::ref::protocol {

namespace {

constexpr int svm_bo = 0, vma = 1;  // objects

// --- svm_bo_release: mark 0 is prange->svm_bo ---

// svm_range_vram_node_free
Task<void> vram_node_free(Kernel k, int) {
  World& w = k.world();
  const bool locked = !k.with(Variant::bo_unref_without_lock);
  co_await k.step("svm_range_vram_node_free");
  if (locked) co_await k.lock(Lock::driver, "lock(prange->lock)");
  if (w.count[0]) {
    co_await k.step("svm_range_bo_unref");
    k.put(svm_bo);
    w.count[0] = 0;
  }
  if (locked) k.unlock(Lock::driver);
  k.returns();
}

void start_bo(World& w) {
  w.object[svm_bo] = {Object::Life::live, 1};
  w.count[0] = 1;
}

void bo_is_gone(World& w) {
  if (w.object[svm_bo].life == Object::Life::live) w.findings |= bit(Finding::leak);
}

// --- eviction ---

Task<void> migrate_to_vram(Kernel k, int) {
  World& w = k.world();
  co_await k.step("svm_migrate_ram_to_vram");
  co_await k.read_lock(Lock::mmap_a);
  co_await k.step("ttm_bo_mem_space: VRAM is full, enable the eviction fence");
  k.queue_work(Lock::work);
  if (k.with(Variant::allocation_waits_for_eviction)) {
    co_await k.wait_fence(Lock::fence_a, "ttm_bo_mem_space: wait for the eviction fence");
    w.count[0] = 1;  // in VRAM
  }
  k.read_unlock(Lock::mmap_a);  // without the variant the pages stay in system memory this time
  k.returns();
}

Task<void> evict_svm_bo_worker(Kernel k, int) {
  World& w = k.world();
  co_await k.until("svm_range_evict_svm_bo_worker", [&w] { return w.work[0].queued != 0; });
  k.begin_work(Lock::work);
  k.begin_signalling(Lock::fence_a);
  co_await k.read_lock(Lock::mmap_a);
  co_await k.step("svm_migrate_vram_to_ram");
  k.read_unlock(Lock::mmap_a);
  k.signal(Lock::fence_a);
  k.end_signalling(Lock::fence_a);
  k.end_work(Lock::work);
}

Task<void> writer(Kernel k, int) {
  co_await k.step("mmap");
  co_await k.lock(Lock::mmap_a);
  co_await k.step("mmap_region");
  k.unlock(Lock::mmap_a);
  k.returns();
}

// --- a child's fault ---

constexpr int childs_store = 1;

Task<void> child_store(Kernel k, int) {
  World& w = k.world();
  co_await k.step("child: stores to a device-private page");
  co_await k.read_lock(Lock::mmap_b);
  if (k.with(Variant::child_fault_walks_parent)) {
    const bool found = w.mm[0].mapped;
    co_await k.step("migrate_vma_setup on the parent's VMA");
    if (found) k.use(vma);
  }
  if (!k.with(Variant::child_fault_is_refused)) {  // else: SIGBUS
    co_await k.step("migrate_vma_setup on the faulting VMA, copy");
    unmap_frame(w, w.mm[1].page[0]);
    map_frame(w, w.mm[1].page[0], alloc_frame(w, childs_store), true);
  }
  k.read_unlock(Lock::mmap_b);
  k.returns();
}

Task<void> parent_unmaps(Kernel k, int) {
  World& w = k.world();
  co_await k.step("parent: munmap");
  co_await k.lock(Lock::mmap_a);
  w.mm[0].mapped = 0;
  unmap_frame(w, w.mm[0].page[0]);
  k.free(vma);
  k.unlock(Lock::mmap_a);
  k.returns();
}

void start_shared_vram(World& w) {
  map_frame(w, w.mm[0].page[0], 1, false);
  map_frame(w, w.mm[1].page[0], 1, false);
  w.object[vma] = {Object::Life::live, 1};
}

void child_has_stored(World& w) {
  if (w.memory[w.mm[1].page[0].frame] != childs_store) w.findings |= bit(Finding::wrong_result);
}

// --- one VM, two processes: mark 0 is vm->process_info, mark 1 counts who has it ---

Task<void> acquire_vm(Kernel k, int) {
  World& w = k.world();
  const bool locked = !k.with(Variant::acquire_vm_without_lock);
  co_await k.step("AMDKFD_IOC_ACQUIRE_VM");
  if (locked) co_await k.lock(Lock::process, "lock(process_info)");
  if (!w.count[0]) {  // else -EBUSY
    co_await k.step("init_kfd_vm");
    w.count[0] = 1;
    ++w.count[1];
  }
  if (locked) k.unlock(Lock::process);
  k.returns();
}

void one_has_it(World& w) {
  if (w.count[1] != 1) w.findings |= bit(Finding::wrong_result);
}

// --- a hole: page 0 is in VRAM, page 1 is not mapped ---

Task<void> migrate_to_ram(Kernel k, int) {
  World& w = k.world();
  int left = 1;  // pages of the range in VRAM
  for (int p = 0; p < 2; ++p) {
    if (!w.mm[0].page[p].frame) {
      if (k.with(Variant::hole_counts_as_migrated)) left = 0;  // the uninitialised result
      continue;
    }
    if (co_await k.choose("svm_migrate_vma_to_ram: moves, or fails for now", 2)) {
      w.mm[0].page[p] = {2, 1};
      --left;
    }
  }
  if (left <= 0) k.put(svm_bo);  // svm_range_vram_node_free
  co_await k.step("the CPU reads the page");
  if (w.mm[0].page[0].frame == 1) k.use(svm_bo);
}

void start_hole(World& w) {
  w.object[svm_bo] = {Object::Life::live, 1};
  w.mm[0].page[0] = {1, 1};
}

}  // namespace

Protocol svm_bo_release() {
  return {.name = "svm_bo, let go by two",
          .threads = {{"notifier", vram_node_free}, {"migration", vram_node_free}},
          .start = start_bo,
          .at_end = bo_is_gone};
}

Protocol vram_eviction() {
  return {.name = "eviction from VRAM",
          .threads = {{"migration", migrate_to_vram}, {"eviction", evict_svm_bo_worker, 0, true}, {"writer", writer}}};
}

Protocol child_of_vram() {
  return {.name = "a child of VRAM",
          .threads = {{"child", child_store}, {"parent", parent_unmaps}},
          .start = start_shared_vram,
          .at_end = child_has_stored};
}

Protocol acquire_vm_after_fork() {
  return {.name = "one VM, two processes", .threads = {{"parent", acquire_vm}, {"child", acquire_vm}}, .at_end = one_has_it};
}

Protocol vram_with_a_hole() {
  return {.name = "a range with a hole", .threads = {{"migration", migrate_to_ram}}, .start = start_hole};
}

}  // namespace faultline::ref::protocol
