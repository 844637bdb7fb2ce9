// Storms: many processes, threads and device accesses at once, without a scenario. What a storm is asked for, and what it tells.
//
// A storm works in rounds. It measures how long calls of the kernel take while device accesses are outstanding, checks the
// values that every process sees, and reads what the machine has in use (its levels) in quiet moments between rounds. Every
// other round is idle: it does nothing for as long as the one before took, so that what other programs do to the levels can
// be told from what the storm does.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/times.h"

namespace faultline {

enum class StormKind {
  fault,     // device faults against munmap, mprotect, fork, MADV_DONTNEED and migration
  fork,      // trees of processes, all of which store, through the device and through pins too
  teardown,  // exit, SIGKILL, exec and close of the device, with faults outstanding
};
struct StormWord {
  std::string_view word;
  StormKind kind;
};
inline constexpr std::array storm_words = {StormWord{"fault", StormKind::fault}, StormWord{"fork", StormKind::fork},
                                           StormWord{"teardown", StormKind::teardown}};
inline std::string_view storm_word(StormKind kind) { return storm_words[static_cast<std::size_t>(kind)].word; }
inline std::optional<StormKind> storm_kind(std::string_view word) {
  for (const StormWord& each : storm_words)
    if (each.word == word) return each.kind;
  return std::nullopt;
}

namespace storms {
inline constexpr int most_threads = 1024;
// Classes of the queue length (device accesses outstanding): class 0 is 0, class k is from 2^(k-1) to 2^k - 1.
inline constexpr int queue_classes = 12;
inline int queue_class(int outstanding) {
  const int width = std::bit_width(static_cast<unsigned>(outstanding > 0 ? outstanding : 0));
  return width < queue_classes ? width : queue_classes - 1;
}
}  // namespace storms

struct StormPlan {
  StormKind kind = StormKind::fault;
  int threads = 256;  // device accesses that may be outstanding at once
  std::uint64_t seed = 1;
  std::uint64_t milliseconds = 10'000;
  int deadline_ms = 5000;  // for a process to end when it was asked to
  friend bool operator==(const StormPlan&, const StormPlan&) = default;
};

// How long one call took, with so many device accesses outstanding when it began.
struct StormRow {
  std::string call;  // "munmap", "SIGKILL"
  int queue = 0;     // a class of queue lengths
  Durations durations;
  friend bool operator==(const StormRow&, const StormRow&) = default;
};

// What one round showed.
struct StormNews {
  std::uint64_t round = 0;
  bool idle = false;
  std::vector<StormRow> rows;
  std::map<std::string, std::uint64_t> counts;  // "device accesses", "of them with a fault", ...
  std::map<std::string, std::int64_t> levels;   // after the round: "memory KiB", "mm_struct", ...; higher is more in use
  std::vector<std::string> wrong;               // values that no healthy kernel shows
  friend bool operator==(const StormNews&, const StormNews&) = default;
};

}  // namespace faultline
