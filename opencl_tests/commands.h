// The commands of one request: each runs after the one before, and the request waits for the last one.
#pragma once

#include <chrono>
#include <mutex>
#include <set>
#include <vector>

#include "harness/driver_call.h"
#include "harness/target.h"
#include "opencl_tests/cl.h"

namespace faultline::opencl {

// Calls a function of the driver; throws if it returns an error.
template <typename Call>
void must(const char* function, const Call& call) {
  if (const cl_int error = in_driver(function, call); error != CL_SUCCESS) throw cl::Error(error, function);
}

// A queue with profiling. In an out-of-order queue only events order the commands.
struct Queue {
  Queue(const cl::Context& context, const cl::Device& device, bool out_of_order);
  cl::CommandQueue queue;
  bool out_of_order;
};

class Commands;

// If a wait takes longer than a second, reports what the commands of the request are doing. Runs in a thread of its own,
// which ends with the process.
class Watch {
 public:
  explicit Watch(DriverWords* words);
  void begin(Commands& commands);
  void end(Commands& commands);

 private:
  void look_on();

  DriverWords* const words_;
  std::mutex mutex_;
  std::set<Commands*> waited_for_;
};

class Commands {
 public:
  Commands(const Queue& queue, Watch& watch) : queue_(queue), watch_(watch) {}
  ~Commands();  // after a failure: waits for the commands that are still in the queue
  Commands(const Commands&) = delete;
  Commands& operator=(const Commands&) = delete;

  // `enqueue` takes the last arguments of all clEnqueue functions: the number of events to wait for, the events, and
  // where to put the new event.
  template <typename Enqueue>
  void add(const char* call, const Enqueue& enqueue) {
    const bool behind = queue_.out_of_order && !events_.empty();
    cl_event event = nullptr;
    must(call, [&] { return enqueue(queue_.queue(), behind ? 1u : 0u, behind ? &events_.back()() : nullptr, &event); });
    events_.emplace_back(event);
    calls_.push_back(call);
  }

  // Waits for the last command, and so for all. Reports the times of each command.
  void wait(DriverWords* words);
  // "clEnqueueNDRangeKernel running, clEnqueueReadBuffer queued": the commands that are not complete.
  std::string state() const;
  std::chrono::steady_clock::time_point since;  // when the wait began

 private:
  void release();

  const Queue& queue_;
  Watch& watch_;
  std::vector<cl::Event> events_;
  std::vector<const char*> calls_;
};

}  // namespace faultline::opencl
