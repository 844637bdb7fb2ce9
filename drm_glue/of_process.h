// What a process has once, whatever the iteration: a driver's client, which does not survive fork().
#pragma once

#include <errno.h>
#include <unistd.h>

#include <memory>

namespace faultline {

template <class Value>
class OfProcess {
 public:
  // The calling process's own; `make` gives it at the first call, or null with errno. Null, with errno ENOTSUP, in a
  // process that was forked from one that has it.
  template <class Make>
  Value* get(const Make& make) {
    if (!value_) {
      value_ = make();
      whose_ = getpid();
      return value_.get();
    }
    if (whose_ == getpid()) return value_.get();
    errno = ENOTSUP;
    return nullptr;
  }

 private:
  std::unique_ptr<Value> value_;
  pid_t whose_ = 0;
};

}  // namespace faultline
