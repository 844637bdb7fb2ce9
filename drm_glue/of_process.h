// Something that a process makes once and keeps for all iterations: its use of a driver. It does not survive fork().
#pragma once

#include <errno.h>
#include <unistd.h>

namespace faultline {

// The value is never deleted: a process under test is killed, so no destructors of a driver run.
template <class Value>
class OfProcess {
 public:
  // The first call makes the value with `make`, which returns null and sets errno on failure. Later calls give the same
  // result. In a child forked after the first call: null with errno ENOTSUP.
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
