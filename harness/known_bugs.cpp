#include "harness/known_bugs.h"

#include <array>

namespace faultline {
namespace {

// One entry for each bug: add it here and have the reference report its name on the executions that run
// into it. Functions are those of lib/test_hmm.c unless another file is named.
constexpr std::array table = {
    KnownBug{"dead-mm-spin", "dmirror",
             "a device access through an inherited descriptor never returns after the opener's mm has died",
             "dmirror_fault() returns 0 when mmget_not_zero() fails, and dmirror_read() and dmirror_write() "
             "go round until the device page table has the page",
             "before 6.1.192 and up to 6.12 at least; 6.1.192 returns -EFAULT",
             "lib/test_hmm.c: dmirror_fault(), dmirror_read(), dmirror_write()"},
    KnownBug{"erased-private-read", "dmirror",
             "a device read of a device-private page whose device entry is gone takes the kernel down",
             "hmm_range_fault() hands the device-private page to dmirror_do_fault() as it is, and the copy "
             "maps the page itself, not the page that backs it",
             "all known", "lib/test_hmm.c: dmirror_do_fault(), dmirror_do_read()"},
    KnownBug{"read-only-private-write", "dmirror",
             "a device write to a read-only device-private page warns",
             "the write fault finds the device's own page without write permission, which the driver takes "
             "for impossible",
             "all known", "lib/test_hmm.c: dmirror_do_fault()"},
    KnownBug{"invalidate-one-more", "dmirror",
             "an invalidation takes one page too many out of the device page table",
             "xa_for_each_range() gets an exclusive end where it wants an inclusive one",
             "all known", "lib/test_hmm.c: dmirror_do_update()"},
    KnownBug{"close-evicts-others", "dmirror",
             "closing any descriptor brings home the migrated pages of every process",
             "dmirror_fops_release() evicts the device's chunks, not the pages of one mm",
             "6.1 and later", "lib/test_hmm.c: dmirror_device_evict_chunk()"},
    KnownBug{"second-descriptor-stale", "dmirror",
             "a second descriptor of one process keeps the old page after a migration through the first",
             "the invalidation of a migration is ignored by every notifier of the same device (the owner "
             "matches), and only the migrating descriptor's table is updated",
             "all known", "lib/test_hmm.c: dmirror_interval_invalidate()"},
};

}  // namespace

std::span<const KnownBug> known_bugs() { return table; }

const KnownBug* find_known_bug(std::string_view name) {
  for (const KnownBug& bug : table)
    if (name == bug.name) return &bug;
  return nullptr;
}

std::string known_bug_text(std::string_view name) {
  const KnownBug* bug = find_known_bug(name);
  return "known bug " + std::string(name) + ": " + (bug ? bug->what : "not in harness/known_bugs.cpp");
}

}  // namespace faultline
