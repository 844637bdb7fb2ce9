// The userfaultfd of a process: the ioctls behind the uffd-... statements.
//
// It has no feature of the API, so the kernel sends no events, and nobody reads from it: the threads of the scenario resolve
// the faults. Closing it takes every registration back and wakes every fault that waits.
#pragma once

#include <cstdint>
#include <functional>

#include "harness/executor/layout.h"

namespace faultline {

class Userfault {
 public:
  // Opens the calling process's own one, if one of its threads needs it, in place of that of the last iteration, or of the
  // parent. Gives null, or what failed, with errno set.
  const char* prepare(const Program& program, int process);
  void close();

  // The ioctl of a statement. Gives an errno.
  int request(const op::UffdRegister& o, const Layout& layout, std::uint64_t iteration) const;
  int request(const op::UffdUnregister& o, const Layout& layout, std::uint64_t iteration) const;
  int request(const op::UffdCopy& o, const Layout& layout, std::uint64_t iteration) const;
  int request(const op::UffdZero& o, const Layout& layout, std::uint64_t iteration) const;
  int request(const op::UffdProtect& o, const Layout& layout, std::uint64_t iteration) const;
  int request(const op::UffdWake& o, const Layout& layout, std::uint64_t iteration) const;

  // After a thread's statements: repeats the wake of each uffd-unprotect among them until `over`, for about a second.
  // userfaultfd_must_wait() looks at pte_write() only: a store that has just seen the protection may join the queue behind the
  // wake, and would sleep on though its page is no longer protected (seen on 6.1.192).
  void repeat_wakes(const Thread& thread, const Layout& layout, const std::function<bool()>& over) const;

 private:
  int descriptor_ = -1;
};

// Whether this process may have one whose faults may come from the kernel too, with write protection.
bool has_userfaultfd();

}  // namespace faultline
