// Records which function of a device's driver library a thread is in. A crash inside such a function is a bug of the driver,
// not of the bench. The bench wraps every call into a driver library in a DriverCall.
#pragma once

#include <signal.h>

#include <array>
#include <atomic>

namespace faultline {

// Signals that a program gets for its own faults.
inline constexpr std::array crash_signals = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

class DriverCall {
 public:
  // `function` must be a string literal.
  explicit DriverCall(const char* function) : place_(*place_of_thread), outer_(place_.load(std::memory_order_relaxed)) {
    place_.store(function, std::memory_order_relaxed);
  }
  ~DriverCall() { place_.store(outer_, std::memory_order_relaxed); }
  DriverCall(const DriverCall&) = delete;
  DriverCall& operator=(const DriverCall&) = delete;

  // Null when the thread is in no driver function. Async-signal-safe.
  static const char* of_this_thread() { return place_of_thread->load(std::memory_order_relaxed); }
  // For a thread that left a driver function by siglongjmp.
  static void forget() { place_of_thread->store(nullptr, std::memory_order_relaxed); }
  // From now on the calling thread records its function in `place`. That memory outlives the process, so that the runner can
  // still read it when the process has died.
  static void keep_in(std::atomic<const char*>& place) { place_of_thread = &place; }

 private:
  static inline thread_local std::atomic<const char*> own_place{nullptr};
  static inline thread_local std::atomic<const char*>* place_of_thread = &own_place;

  std::atomic<const char*>& place_;
  const char* const outer_;
};

// Calls `call` inside a DriverCall and returns its result.
template <typename Call>
decltype(auto) in_driver(const char* function, const Call& call) {
  const DriverCall in(function);
  return call();
}

}  // namespace faultline
