// How long the commands of a device waited and ran, according to its driver. The statistics have a fixed size and can lie in
// memory that processes share: any threads of any processes may call note() at the same time.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace faultline {

// A histogram of durations with four classes for each power of two, so that quantiles are accurate to 19 %.
struct Durations {
  static constexpr int classes = 160;
  std::array<std::uint32_t, classes> counts{};
  std::uint64_t longest_ns = 0;

  void note(std::uint64_t ns) {
    std::atomic_ref(counts[static_cast<std::size_t>(class_of(ns))]).fetch_add(1, std::memory_order_relaxed);
    const std::atomic_ref longest(longest_ns);
    for (std::uint64_t seen = longest.load(); seen < ns && !longest.compare_exchange_weak(seen, ns);) {}
  }

  void add(const Durations& other) {
    for (int i = 0; i < classes; ++i) counts[static_cast<std::size_t>(i)] += other.counts[static_cast<std::size_t>(i)];
    longest_ns = std::max(longest_ns, other.longest_ns);
  }

  // The duration that a fraction `part` (0 to 1) of them did not exceed. 0 if there are none.
  std::uint64_t quantile(double part) const {
    std::uint64_t all = 0, seen = 0;
    for (const std::uint32_t count : counts) all += count;
    for (int i = 0; i < classes && all > 0; ++i) {
      seen += counts[static_cast<std::size_t>(i)];
      if (static_cast<double>(seen) >= part * static_cast<double>(all)) return std::min(end_of(i), longest_ns);
    }
    return longest_ns;
  }

  // Classes 0 to 3 are the durations of 0 to 3 ns; then each power of two has four.
  static int class_of(std::uint64_t ns) {
    if (ns < 4) return static_cast<int>(ns);
    const int power = std::bit_width(ns) - 1;
    return std::min(classes - 1, 4 * (power - 1) + static_cast<int>((ns >> (power - 2)) & 3));
  }
  static std::uint64_t end_of(int index) {  // the longest duration of the class
    if (index < 4) return static_cast<std::uint64_t>(index);
    const int power = index / 4 + 1;
    return (std::uint64_t{5} + static_cast<std::uint64_t>(index % 4)) * (std::uint64_t{1} << (power - 2)) - 1;
  }
  friend bool operator==(const Durations&, const Durations&) = default;
};

struct CommandTimes {
  Durations waited;  // from submission to start
  Durations ran;     // from start to end
  std::uint64_t commands = 0;
  std::uint64_t disordered = 0;  // commands with timestamps not in the order queued, submitted, started, ended

  void note(std::uint64_t queued, std::uint64_t submitted, std::uint64_t started, std::uint64_t ended) {
    std::atomic_ref(commands).fetch_add(1, std::memory_order_relaxed);
    if (queued > submitted || submitted > started || started > ended) {
      std::atomic_ref(disordered).fetch_add(1, std::memory_order_relaxed);
      return;
    }
    waited.note(started - submitted);
    ran.note(ended - started);
  }

  void add(const CommandTimes& other) {
    waited.add(other.waited);
    ran.add(other.ran);
    commands += other.commands;
    disordered += other.disordered;
  }
  friend bool operator==(const CommandTimes&, const CommandTimes&) = default;
};

}  // namespace faultline
