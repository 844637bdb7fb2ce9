// What a process has once, whatever the iteration: its use of a driver, which does not survive fork().
#pragma once

#include <errno.h>
#include <unistd.h>

namespace faultline {

// The value is never deleted: a process under test is killed, and no destructor of a driver's runs.
template <class Value>
class OfProcess {
 public:
  // The calling process's own; `make` gives a new one at the first call, or null with errno, which stays so. Null, with
  // errno ENOTSUP, in a process that was forked from one that has called before.
  template <class Make>
  Value* get(const Make& make) {
    if (owner_ == 0) {
      owner_ = getpid();
      value_ = make();
      error_ = errno;
    }
    if (owner_ == getpid() && value_) return value_;
    errno = owner_ == getpid() ? error_ : ENOTSUP;
    return nullptr;
  }

 private:
  Value* value_ = nullptr;
  pid_t owner_ = 0;
  int error_ = 0;
};

}  // namespace faultline
