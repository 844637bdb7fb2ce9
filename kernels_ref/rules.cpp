#include "kernels_ref/rules.h"

#include <array>

namespace faultline::ref {

namespace {

// In the order of Rule.
constexpr std::string_view names[] = {
    "cow-copies-contents",
    "cow-keeps-shared-page",
    "cow-notifies",
    "cow-rechecks-pte",
    "zero-page-is-copied",
    "read-fault-maps-zero-page",
    "fault-checks-write",
    "fault-checks-access",
    "shared-fault-uses-cache",
    "fault-checks-size",
    "cow-fault-copies",
    "store-dirties-pte",
    "fork-write-protects",
    "fork-protects-last-page",
    "fork-notifies",
    "fork-flushes",
    "fork-skips-dontfork",
    "fork-wipes",
    "fork-blocks-faults",
    "fork-keeps-shared",
    "stack-grows",
    "stack-keeps-gap",
    "copied-vma-grows",
    "munmap-notifies",
    "munmap-flushes",
    "munmap-zaps-last-page",
    "mprotect-notifies",
    "mprotect-flushes",
    "mprotect-changes-ptes",
    "mprotect-blocks-faults",
    "mremap-notifies",
    "mremap-flushes",
    "mremap-moves-contents",
    "dontneed-notifies",
    "dontneed-zaps",
    "dontneed-flushes",
    "free-notifies",
    "free-flushes",
    "collapse-copies",
    "collapse-notifies",
    "populate-faults",
    "truncate-unmaps",
    "truncate-notifies",
    "truncate-flushes",
    "truncate-unmaps-twice",
    "hole-keeps-copies",
    "reclaim-notifies",
    "callback-erases",
    "callback-stamps",
    "callback-takes-lock",
    "read-begin-waits",
    "release-at-exit",
    "hmm-faults-for-write",
    "hmm-checks-write",
    "hmm-checks-read",
    "hmm-extends-nothing",
    "hmm-checks-sequence",
    "exclusive-notifies",
    "exclusive-flushes",
    "device-rechecks",
    "device-checks-write-tag",
    "migrate-inserts-pages",
    "migrate-copies",
    "migrate-back-copies",
    "migrate-back-erases-entry",
    "migrate-tells-others",
    "migrate-respects-write",
    "migrate-respects-pins",
    "close-evicts",
    "kfd-migrates-range",
    "kfd-tells-unmaps",
    "kfd-stops-queues",
    "kfd-restores-queues",
    "kfd-unmaps-at-munmap",
    "kfd-unmap-clears-entries",
    "kfd-fault-takes-vma",
    "kfd-fault-migrates",
    "kfd-fault-maps-range",
    "kfd-tells-faults",
    "mmget-guards",
    "kill-ends-process",
    "wait-waits",
    "pin-breaks-cow",
    "pin-checks-write",
    "read-pin-unshares",
    "gup-fast-checks-fork",
    "fork-copies-pinned",
    "fork-copy-keeps-contents",
    "unpin-lets-go",
    "cow-counts-references",
    "direct-io-holds-page",
    "direct-read-dirties",
    "release-synchronises",
    "updates-are-atomic",
    "memory-is-coherent",
    "seq-cst-has-one-order",
};
static_assert(std::size(names) == rule_count);

}  // namespace

std::string_view rule_name(Rule rule) { return names[static_cast<int>(rule)]; }

std::optional<Rule> rule_named(std::string_view name) {
  for (int r = 0; r < rule_count; ++r)
    if (names[r] == name) return static_cast<Rule>(r);
  return std::nullopt;
}

}  // namespace faultline::ref
