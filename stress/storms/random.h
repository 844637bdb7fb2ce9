// Random numbers of a storm.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>

namespace faultline::storms {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  // 0 to `below` - 1.
  int below(int limit) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(limit)); }
  bool one_in(int chances) { return below(chances) == 0; }
  // Each power of two between them is as likely as any other.
  std::int64_t log_uniform(std::int64_t least, std::int64_t most) {
    const double low = std::log2(static_cast<double>(least)), high = std::log2(static_cast<double>(most));
    const double part = static_cast<double>(engine_() >> 11) / 9007199254740992.0;  // 2^53
    return std::llround(std::exp2(low + part * (high - low)));
  }
  std::uint64_t seed() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

}  // namespace faultline::storms
