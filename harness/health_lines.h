// What a kernel's log says when something in the kernel is wrong: one list, for the log of a machine that runs and for
// the console of one that is lost.
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
    "Bad page state",
    "bad page state",
    "Bad rss-counter",
    "bad rss-counter",
    "list_add corruption",
    "list_del corruption",
    "soft lockup",
    "hard LOCKUP",
    "detected stall",         // self-detected ones too
    "blocked for more than",  // "INFO: task kworker/0:1:9 blocked for more than 120 seconds."
};

// Whether a line is the kernel's word that something is wrong. A line of context, such as "Call Trace:", is not.
inline bool is_health_line(std::string_view line) {
  return std::ranges::any_of(health_words, [&](std::string_view word) { return line.find(word) != line.npos; });
}

}  // namespace faultline
