// CPU loads and stores that may fault.
//
// One access is one 8-byte instruction with a full fence on both sides, so that store buffers play no
// part. SIGSEGV and SIGBUS of a guarded access become its result; anywhere else, as in a driver's function, they end the
// process, which tells the runner of it.
#pragma once

#include <csetjmp>
#include <cstdint>

#include "harness/executor/area.h"

namespace faultline {

// Installs the handlers for the calling process; its children inherit them. `area` is where signals that nobody expected
// are reported. The regions of the scenario lie in [begin, begin + bytes). `faults_end_process`: of a fault there outside
// guarded() nothing is reported, since the scenario expects it. A thread of a device's driver took it, which nobody
// can help out.
void install_access_guard(Area& area, std::uintptr_t begin, std::size_t bytes, bool faults_end_process);

// For each thread once, before its first access: who it is (for reports) and a stack for its signals. A
// forked child calls it again: its only thread is somebody else now.
void enter_guarded_thread(int process, int thread);

// For a thread that ends before its process: its stack for signals goes away with it.
void leave_guarded_thread();

// Runs `access` and gives 0, or the signal that it took. `access` must own nothing that needs unwinding.
template <typename Access>
int guarded(Access access);

std::uint64_t cpu_load(std::uintptr_t address);
void cpu_store(std::uintptr_t address, std::uint64_t value);

namespace detail {
// Saving the signal mask would cost a system call, and our handlers block nothing (SA_NODEFER). But
// ThreadSanitizer puts a handler of its own around ours, which blocks everything.
#if defined(__SANITIZE_THREAD__)
inline constexpr int saves_mask = 1;
#else
inline constexpr int saves_mask = 0;
#endif
sigjmp_buf& guard_point();
void set_guard(bool on);
}  // namespace detail

template <typename Access>
int guarded(Access access) {
  const int signal = sigsetjmp(detail::guard_point(), detail::saves_mask);
  if (signal != 0) {
    detail::set_guard(false);
    return signal;
  }
  detail::set_guard(true);
  access();
  detail::set_guard(false);
  return 0;
}

}  // namespace faultline
