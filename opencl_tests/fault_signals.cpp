// pthread_sigmask() for the agent and for the drivers that it loads: signals of a crash are never blocked.
//
// llvmpipe's threads block every signal. A fault of theirs would end the process without a word, and nobody could tell
// one at an address of the scenario's, where it is expected, from a crash of the driver.
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
