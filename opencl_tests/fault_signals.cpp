// pthread_sigmask() for the agent and for the drivers that it loads: never blocks the signals of a crash.
//
// llvmpipe's threads block every signal. A fault in such a thread would end the process before any handler could record
// its address. But the address is needed: at an address of the scenario a fault is expected, elsewhere it is a crash.
#include <errno.h>
#include <signal.h>

#include "harness/driver_call.h"

extern "C" int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) noexcept {
  sigset_t rest;
  if (set && how != SIG_UNBLOCK) {
    rest = *set;
    for (const int signal : faultline::crash_signals) sigdelset(&rest, signal);
    set = &rest;
  }
  return sigprocmask(how, set, old) == 0 ? 0 : errno;
}
