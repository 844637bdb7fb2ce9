// What hardware is free to choose, drawn from a seed: how long an engine takes, how late a doorbell is seen, when faults are
// told, how often and in which order, which of several valid translations is used.
#pragma once

#include <cstdint>
#include <random>

#include "drm_glue/softgpu/time.h"

namespace faultline::softgpu {

class Weather {
 public:
  // Seed 0: calm. Nothing is late, and the oldest translation is used.
  explicit Weather(std::uint64_t seed) : calm_(seed == 0), random_(seed) {}

  bool calm() const { return calm_; }
  nanoseconds doorbell() { return span(2'000'000, 20); }
  nanoseconds packet() { return span(300'000, 4); }
  nanoseconds command_processor() { return span(1'000'000, 4); }  // until it looks at a ring whose doorbell it has seen
  nanoseconds page_of_copy() { return span(200'000, 8); }
  nanoseconds invalidation() { return span(500'000, 3); }
  nanoseconds interrupt() { return span(500'000, 4); }
  nanoseconds fault() { return span(3'000'000, 2); }
  // Until an access that has faulted is tried again, and until a fault that stays is told again.
  nanoseconds retry() { return calm_ ? nanoseconds(100'000) : nanoseconds(20'000) + span(1'000'000, 2); }
  nanoseconds fault_again() { return calm_ ? nanoseconds(20'000'000) : nanoseconds(2'000'000) + span(30'000'000, 1); }

  // How often a fault that is tried again is told at once: by each client that waits for the page. Now and then by so many that
  // the driver's IH ring (8,192 vectors) overflows, and what came before is lost.
  std::size_t times_told() {
    if (one_in(4096)) return flood;
    return one_in(8) ? 2 + below(3) : 1;
  }
  static constexpr std::size_t flood = 10'000;

  // Walks again beside a translation that is held, as another client of the hub would.
  bool walk_again() { return one_in(8); }
  bool forget_translation() { return one_in(64); }
  // Touches pages behind the one that has faulted, and tells those first.
  bool look_ahead() { return one_in(3); }
  std::size_t below(std::size_t end) { return calm_ || end < 2 ? 0 : random_() % end; }

 private:
  bool one_in(std::uint64_t n) { return !calm_ && random_() % n == 0; }
  // None mostly, where `often` is large; else of any order of magnitude below `most`.
  nanoseconds span(std::int64_t most, std::uint64_t often) {
    if (calm_ || random_() % often != 0) return nanoseconds(0);
    return nanoseconds(static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(most)) >> random_() % 10);
  }

  bool calm_;
  std::mt19937_64 random_;
};

}  // namespace faultline::softgpu
