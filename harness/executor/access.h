// CPU loads and stores that may fault.
//
// One access is one 8-byte instruction with a full fence on both sides, so that store buffers play no part. SIGSEGV and
// SIGBUS of a guarded access become the result of the access. Anywhere else, for example in a driver's function, they end the
// process, and its signal handler reports them to the runner.
#pragma once

#include <csetjmp>
#include <cstdint>

#include "harness/executor/area.h"

namespace faultline {

// Installs the signal handlers for the calling process; its children inherit them. Unexpected signals are reported in `area`.
// The regions of the scenario lie in [begin, begin + bytes). With `faults_end_process`, a fault in the regions but outside
// guarded() ends the process without a report, because the scenario expects it: a thread of the device's driver took the
// fault, and the bench cannot get that thread past it.
void install_access_guard(Area& area, std::uintptr_t begin, std::size_t bytes, bool faults_end_process);

// Each thread calls this once before its first access. It sets the thread's identity for reports and its signal stack. A
// forked child calls it again, because its only thread now stands for another thread of the Program.
void enter_guarded_thread(int process, int thread);

// For a thread that ends before its process does: its signal stack goes away with the thread.
void leave_guarded_thread();

// Runs `access`. Returns 0, or the signal that it took. `access` must own nothing that needs unwinding.
template <typename Access>
int guarded(Access access);

std::uint64_t cpu_load(std::uintptr_t address);
void cpu_store(std::uintptr_t address, std::uint64_t value);

namespace detail {
// Saving the signal mask would cost a system call, and is not needed: our handlers block no signals (SA_NODEFER). But
// ThreadSanitizer wraps our handlers in its own, which blocks all signals.
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
