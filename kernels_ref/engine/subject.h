// What the explorer explores: shared bytes, and threads that run on them.
#pragma once

#include <cstddef>

#include "kernels_ref/engine/task.h"

namespace faultline::ref {

inline constexpr int max_explored_threads = 9;  // a Program's, and one of the kernel's own

// The World of a Subject is plain bytes without pointers, in which nothing has two encodings. Its first
// shared_bytes() name no thread. Behind them lies one record of record_bytes() for each thread. Threads of
// one group() run the same code and differ only in their record and stack. So states that are equal after
// an exchange of such threads are one state.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual int threads() const = 0;
  virtual std::size_t shared_bytes() const = 0;
  virtual std::size_t record_bytes() const { return 0; }
  virtual int group(int thread) const { return thread; }
  // Fills the World, which comes as zeros. More than one machine may be started, each on its own World.
  virtual void start(void* world) const = 0;
  virtual Task<void> thread(void* world, Suspension* place, int thread) const = 0;
  // Looks at every state reached (it may note a finding in the World). False: nothing is defined from here on.
  virtual bool arrive(void* world) const = 0;
  // Whether a thread that is suspended in an end state waits in vain.
  virtual bool unfinished(const void* world, int thread) const = 0;
};

}  // namespace faultline::ref
