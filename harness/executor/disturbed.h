// The disturbances of one thread in one iteration (disturbance.h), as the thread itself does them.
#pragma once

#include "harness/executor/operation.h"

namespace faultline {

// Wait until the time, in ns of CLOCK_MONOTONIC.
void spin_until(std::int64_t when, bool oversubscribed);
void sleep_until(std::int64_t when);

class Disturbed {
 public:
  Disturbed(const ProcessContext& context, int thread);
  ~Disturbed();
  Disturbed(const Disturbed&) = delete;
  Disturbed& operator=(const Disturbed&) = delete;

  // Before the statement with this index.
  void wait_before(int statement) const {
    if (used_ != 0) wait(statement);
  }

 private:
  void wait(int statement) const;

  const ProcessContext& context_;
  const int thread_;
  int used_ = 0;  // of the area's disturbances
  bool signals_ = false;
};

// Makes the signals of a disturbance harmless in this process and its children. They have a number that nothing else uses.
void bear_signals();

}  // namespace faultline
