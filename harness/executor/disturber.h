// A process of the runner that takes CPUs away (Disturbance::Kind::preempt) and changes pages (Kind::reclaim, Kind::move). It runs with a real-time
// priority where it may, so the kernel preempts what runs there at once: a preemptible kernel also in the middle of a system call
// or a fault, between two locks. A thread that is held there holds its mmap lock, its migration, its unfinished invalidation, while the other CPUs
// go on. A statement of the scenario cannot do this, and load beside the run does it only by chance.
//
// It is no part of the scenario: it has none of its memory, and it sleeps but for the moments that the parameters name.
#pragma once

#include <sys/types.h>

#include <span>
#include <vector>

#include "harness/executor/area.h"
#include "harness/executor/layout.h"

namespace faultline {

class Disturber {
 public:
  Disturber(Area& area, const std::vector<int>& cpus, const Layout& layout) : area_(area), cpus_(cpus), layout_(layout) {}
  ~Disturber() { end(); }
  Disturber(const Disturber&) = delete;
  Disturber& operator=(const Disturber&) = delete;

  // Writes the disturbances of the next iteration to the area. Call this before the round begins. The process starts with the
  // first call that needs it. If there can be none, nothing is preempted.
  void prepare(std::span<const Disturbance> disturbances);
  // The round has begun: wakes the process if there is something for it.
  void begin();

  // Ends the process. It is a child of the runner, so call this before waiting for all children, and before the processes of a
  // hang are looked at.
  void end();

  pid_t pid() const { return pid_; }  // -1: there is none

 private:
  Area& area_;
  const std::vector<int>& cpus_;
  const Layout& layout_;
  pid_t pid_ = -1;
  bool needed_ = false;  // in this iteration
};

}  // namespace faultline
