// Events, and waits with a deadline.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "opencl_tests/module/device.h"

namespace faultline::svm {

// Runs a call of the driver that may not return. After so many seconds throws Timeout with `what` and the text of state().
// The call then continues in its thread, so the process should end soon.
void within(double seconds, const std::string& what, const std::function<std::string()>& state, std::function<void()> call);

struct Times {
  cl_ulong queued, submitted, started, ended;  // nanoseconds of the device's clock
};

class Event {
 public:
  // `state` describes the queue, for a wait that does not end.
  Event(cl_event raw, std::function<std::string()> state) : handle_(raw), state_(std::move(state)) {}

  cl_event get() const { return handle_.get(); }
  // CL_QUEUED, CL_SUBMITTED, CL_RUNNING, CL_COMPLETE, or an error below 0.
  cl_int status() const;
  cl_command_type command() const;
  Times times() const;  // clGetEventProfilingInfo

 protected:
  friend void wait(const std::vector<std::shared_ptr<Event>>& events, double seconds);

  EventHandle handle_;
  std::function<std::string()> state_;
};

// clWaitForEvents
void wait(const std::vector<std::shared_ptr<Event>>& events, double seconds);

// clCreateUserEvent
class UserEvent : public Event {
 public:
  explicit UserEvent(const Context& context);
  void set(cl_int status);
};

std::string command_name(cl_command_type command);

}  // namespace faultline::svm
