// The device's time, which tests may set.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace faultline::softgpu {

using std::chrono::nanoseconds;

class Time {
 public:
  virtual ~Time() = default;
  virtual nanoseconds now() const = 0;  // since the device started
  // Of the counter of 100 MHz that interrupts and fences are stamped with.
  std::uint64_t ticks() const { return static_cast<std::uint64_t>(now().count()) / 10; }
};

class RealTime : public Time {
 public:
  nanoseconds now() const override { return std::chrono::steady_clock::now() - start_; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// The sooner of two times; none is never.
inline std::optional<nanoseconds> sooner(std::optional<nanoseconds> a, std::optional<nanoseconds> b) {
  if (!a || !b) return a ? a : b;
  return *a < *b ? a : b;
}

}  // namespace faultline::softgpu
