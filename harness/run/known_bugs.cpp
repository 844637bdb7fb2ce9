#include "harness/run/known_bugs.h"

#include <array>
#include <cstdio>
#include <sstream>

namespace faultline {
namespace {

// To add a bug, add an entry here and let the reference report its name for executions that trigger it. Functions are in
// lib/test_hmm.c unless the text names another file.
// clang-format off
constexpr std::array table = {
    KnownBug{"dead-mm-spin", "dmirror",
             "a device access through an inherited descriptor never returns after the opener's mm has died",
             "dmirror_fault() returns 0 when mmget_not_zero() fails, and dmirror_read() and dmirror_write() "
             "loop until the device page table has the page",
             "up to 6.12 at least; 6.1.192 returns -EFAULT", "6.1.192",
             "lib/test_hmm.c: dmirror_fault(), dmirror_read(), dmirror_write()"},
    KnownBug{"erased-private-read", "dmirror",
             "a device read of a device-private page whose device entry is gone takes the kernel down",
             "hmm_range_fault() hands the device-private page to dmirror_do_fault() as it is, and the copy "
             "maps the page itself, not the page that backs it",
             "all known", "", "lib/test_hmm.c: dmirror_do_fault(), dmirror_do_read()"},
    KnownBug{"read-only-private-write", "dmirror",
             "a device write to a read-only device-private page warns",
             "the write fault finds the device's own page without write permission, which the driver takes "
             "for impossible",
             "all known", "", "lib/test_hmm.c: dmirror_do_fault()"},
    KnownBug{"unstamped-migration", "dmirror",
             "a device fault that began before a migration puts the old, freed page back into the device's table",
             "the callback ignores the device's own MIGRATE events and does not advance the sequence",
             "all known", "", "lib/test_hmm.c: dmirror_interval_invalidate()"},
    KnownBug{"miscounted-private-page", "dmirror",
             "a device access takes the kernel down after two faults at once on a device-private page",
             "migrate_vma_check_page() allows an extra reference for a device's page, although such pages no longer have it "
             "(27674ef6c73f). So the check passes with the reference of the other fault; the driver erases its entry, and then "
             "folio_migrate_mapping() refuses",
             "5.18 to 6.14: since 1afaeb8293c9 a fault locks the page before it takes its reference", "6.15+",
             "mm/migrate_device.c: migrate_vma_check_page(); lib/test_hmm.c: dmirror_devmem_fault_alloc_and_copy()"},
    KnownBug{"freed-private-copy", "dmirror",
             "a device access copies a device-private page that has been freed",
             "a migration back erases the device's entry and frees the page that backs it without holding the mutex "
             "under which dmirror_do_read() and dmirror_do_write() copy",
             "all known", "", "lib/test_hmm.c: dmirror_devmem_fault_alloc_and_copy(), dmirror_devmem_free()"},
    KnownBug{"stale-migrated-entry", "dmirror",
             "a migration stores a device entry for a page that was zapped while it was on its way",
             "dmirror_migrate_finalize_and_map() does not check the sequence, and MADV_DONTNEED may run beside it",
             "all known", "", "lib/test_hmm.c: dmirror_migrate_finalize_and_map()"},
    KnownBug{"stale-exclusive-entry", "dmirror",
             "exclusive access stores a device entry for a page that was zapped while it was made exclusive",
             "dmirror_atomic_map() does not check the sequence, and MADV_DONTNEED may run beside it",
             "all known", "", "lib/test_hmm.c: dmirror_exclusive(), dmirror_atomic_map()"},
    KnownBug{"lost-location", "amdgpu",
             "the CPU's faults on a page in VRAM never end after a forked process has brought others of its range back",
             "svm_migrate_vram_to_ram() uses the page table of the process that faulted, and if that has no VRAM page left, it "
             "takes the whole range to be in system memory",
             "6.1 at least", "", "drivers/gpu/drm/amd/amdkfd/kfd_migrate.c: svm_migrate_vram_to_ram()"},
    KnownBug{"kept-entry", "amdgpu",
             "the GPU keeps PTEs that nothing ever removes, because a later part of their range could not be mapped",
             "svm_range_validate_and_map() maps VMA by VMA, and says that the range is mapped only at its end: "
             "svm_range_unmap_from_gpus() then has nothing to do",
             "6.1 at least", "", "drivers/gpu/drm/amd/amdkfd/kfd_svm.c: svm_range_validate_and_map()"},
    KnownBug{"writable-shared-vram", "amdgpu",
             "the GPU stores to a page in VRAM that a forked process shares, and that process sees the store",
             "hmm_range_fault() returns the device's own private page as it is, without a fault that would break COW, and "
             "amdgpu_hmm_range_get_pages() does not look at HMM_PFN_WRITE",
             "6.1 at least", "", "drivers/gpu/drm/amd/amdkfd/kfd_svm.c: svm_range_validate_and_map()"},
    KnownBug{"late-mapping", "amdgpu",
             "the GPU goes on with an old page when an invalidation comes just after its range was mapped",
             "svm_range_validate_and_map() unlocks the range before it sets mapped_to_gpu, so that svm_range_evict() has nothing "
             "to do for it",
             "6.1 at least; later kernels set it under the lock", "6.12+",
             "drivers/gpu/drm/amd/amdkfd/kfd_svm.c: svm_range_validate_and_map()"},
    KnownBug{"unrestored-range", "amdgpu",
             "without XNACK, the GPU goes on with old pages of a range that was cut while its queues were stopped",
             "svm_range_clone() does not copy `invalid`, so svm_range_restore_work() does not map the pieces",
             "6.1 at least", "", "drivers/gpu/drm/amd/amdkfd/kfd_svm.c: svm_range_clone(), svm_range_restore_work()"},
    KnownBug{"reused-page", "amdgpu",
             "a GPU fault takes the kernel down when a CPU fault has just brought the same range back",
             "svm_migrate_to_ram() unlocks svms->lock while do_swap_page() still holds the page in VRAM. The GPU's fault moves the "
             "range to the same memory, and zone_device_page_init() sets that page's references to one",
             "all known", "", "drivers/gpu/drm/amd/amdkfd/kfd_migrate.c: svm_migrate_get_vram_page(), svm_migrate_to_ram()"},
    KnownBug{"released-bo", "amdgpu",
             "a GPU fault is never answered when a CPU fault has just brought the same range back",
             "svm_range_validate_svm_bo() waits in a loop until svm_range_bo_release() is done. Its work item is behind the one "
             "that waits, on the same CPU",
             "up to 6.1 at least: 6.12.117 answers faults on an unbound workqueue", "6.12.117 7.3+",
             "drivers/gpu/drm/amd/amdkfd/kfd_svm.c: svm_range_validate_svm_bo(); amdgpu_irq.c: amdgpu_irq_delegate()"},
    KnownBug{"lost-userfault-wake", "",
             "a fault sleeps for ever though its page is no longer registered with userfaultfd",
             "userfaultfd_unregister() wakes first and takes the VMA's lock then. In between a fault that has only the VMA's own "
             "lock (29a22b9e08d7) may join the queue, and nobody wakes it any more",
             "6.7 to 6.18 at least", "6.1.0 6.2.0 6.3.0 6.4.0 6.5.0 6.6.0",
             "fs/userfaultfd.c: userfaultfd_unregister(), handle_userfault()"},
};
// clang-format on

}  // namespace

std::span<const KnownBug> known_bugs() { return table; }

const KnownBug* find_known_bug(std::string_view name) {
  for (const KnownBug& bug : table)
    if (name == bug.name) return &bug;
  return nullptr;
}

std::string known_bug_text(std::string_view name) {
  const KnownBug* bug = find_known_bug(name);
  return "known bug " + std::string(name) + ": " + (bug ? bug->what : "not in harness/run/known_bugs.cpp");
}

std::array<int, 3> version_of(std::string_view kernel) {
  std::array<int, 3> numbers{};
  std::sscanf(std::string(kernel).c_str(), "%d.%d.%d", &numbers[0], &numbers[1], &numbers[2]);
  return numbers;
}

bool is_fixed(std::string_view releases, std::string_view kernel) {
  const auto here = version_of(kernel);
  std::istringstream each{std::string(releases)};
  for (std::string release; each >> release;) {
    const auto fixed = version_of(release);
    if (release.ends_with('+') && here >= fixed) return true;
    if (here[0] == fixed[0] && here[1] == fixed[1] && here[2] >= fixed[2]) return true;
  }
  return false;
}

bool has_bug(const KnownBug& bug, std::string_view target, std::string_view kernel) {
  const bool there = *bug.target == '\0' || target.substr(0, target.find(':')) == bug.target;  // amdgpu:BUS
  return there && !is_fixed(bug.fixed_in, kernel);
}

std::string known_bug_in_the_way(std::span<const std::string> names, std::string_view target, std::string_view kernel) {
  for (const std::string& name : names) {
    const KnownBug* bug = find_known_bug(name);
    if (!bug || has_bug(*bug, target, kernel)) return known_bug_text(name);
  }
  return "";
}

}  // namespace faultline
