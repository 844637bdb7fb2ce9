// Words in the kernel log that mean that something in the kernel is wrong. The bench looks for them in the log of a running
// machine, and in the console output of a machine that was lost.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

namespace faultline {

inline constexpr std::array health_words = {
    "WARNING:",
    "BUG:",
    "BUG at",
    "Oops",
    "Kernel panic",
    "Internal error:",  // an oops on Arm
    "general protection",
    "unable to handle",
    "Unable to handle kernel",
    "stack guard page was hit",
    "KASAN:",
    "KCSAN:",
    "KFENCE:",
    "UBSAN:",
    "possible circular locking",
    "possible recursive locking",
    "possible deadlock",
    "inconsistent lock state",
    "suspicious RCU usage",
    "bad unlock balance",
    "scheduling while atomic",
    "sleeping function called from invalid",
    "pagealloc: memory corruption",  // page_poison=1: somebody wrote to a free page
    "pagealloc: single bit error",
    "Bad page state",
    "bad page state",
    "Bad rss-counter",
    "bad rss-counter",
    "list_add corruption",
    "list_del corruption",
    "soft lockup",
    "hard LOCKUP",
    "detected stall",         // matches "self-detected stall" too
    "blocked for more than",  // "INFO: task kworker/0:1:9 blocked for more than 120 seconds."
};

// Whether the line reports a kernel problem. A line of context, such as "Call Trace:", does not.
inline bool is_health_line(std::string_view line) {
  return std::ranges::any_of(health_words, [&](std::string_view word) { return line.find(word) != line.npos; });
}

}  // namespace faultline
