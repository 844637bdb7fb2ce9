// The function of a device's driver library that a thread is in: a crash in there is the driver's, and no fault of the
// bench. Every call into such a library is inside one of these.
#pragma once

#include <signal.h>

#include <array>
#include <atomic>

namespace faultline {

// That a program gets for what it does itself.
inline constexpr std::array crash_signals = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};

class DriverCall {
 public:
  // `function`: a literal.
  explicit DriverCall(const char* function) : place_(*place_of_thread), outer_(place_.load(std::memory_order_relaxed)) {
    place_.store(function, std::memory_order_relaxed);
  }
  ~DriverCall() { place_.store(outer_, std::memory_order_relaxed); }
  DriverCall(const DriverCall&) = delete;
  DriverCall& operator=(const DriverCall&) = delete;

  // Null: in none. Async-signal-safe.
  static const char* of_this_thread() { return place_of_thread->load(std::memory_order_relaxed); }
  // For who has jumped out of one.
  static void forget() { place_of_thread->store(nullptr, std::memory_order_relaxed); }
  // Where the calling thread's is kept from now on: in memory that outlives the process, for who finds it dead.
  static void keep_in(std::atomic<const char*>& place) { place_of_thread = &place; }

 private:
  static inline thread_local std::atomic<const char*> own_place{nullptr};
  static inline thread_local std::atomic<const char*>* place_of_thread = &own_place;

  std::atomic<const char*>& place_;
  const char* const outer_;
};

// What `call` gives.
template <typename Call>
decltype(auto) in_driver(const char* function, const Call& call) {
  const DriverCall in(function);
  return call();
}

}  // namespace faultline
