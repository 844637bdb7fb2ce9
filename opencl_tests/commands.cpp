#include "opencl_tests/commands.h"

#include <signal.h>

#include <thread>

#include "opencl_tests/error.h"

namespace faultline::opencl {

using std::chrono::steady_clock;

Queue::Queue(const cl::Context& context, const cl::Device& device, bool out)
    : queue(in_driver("clCreateCommandQueueWithProperties",
                      [&] {
                        return cl::CommandQueue(context, device,
                                                out ? cl::QueueProperties::Profiling | cl::QueueProperties::OutOfOrder
                                                    : cl::QueueProperties::Profiling);
                      })),
      out_of_order(out) {}

Watch::Watch(DriverWords* words) : words_(words) {
  if (!words) return;
  // This thread must not take any signal.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread([this] { look_on(); }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Watch::begin(Commands& commands) {
  commands.since = steady_clock::now();
  const std::lock_guard lock(mutex_);
  waited_for_.insert(&commands);
}

void Watch::end(Commands& commands) {
  const std::lock_guard lock(mutex_);
  waited_for_.erase(&commands);
}

void Watch::look_on() {
  constexpr auto between_looks = std::chrono::milliseconds(200), patience = std::chrono::milliseconds(800);
  for (;;) {
    std::this_thread::sleep_for(between_looks);
    const std::lock_guard lock(mutex_);
    std::string states;
    for (const Commands* each : waited_for_)
      if (steady_clock::now() - each->since > patience) states += (states.empty() ? "" : "; ") + each->state();
    if (!states.empty()) words_->waits("the queue does not move on: " + states);
  }
}

Commands::~Commands() {
  if (events_.empty()) return;
  in_driver("clFinish", [&] { clFinish(queue_.queue()); });
  release();
}

void Commands::wait(DriverWords* words) {
  watch_.begin(*this);
  const cl_int waited = in_driver("clWaitForEvents", [&] { return clWaitForEvents(1, &events_.back()()); });
  watch_.end(*this);
  if (waited != CL_SUCCESS) throw cl::Error(waited, "clWaitForEvents");
  const auto time = [](const cl::Event& event, cl_profiling_info what) {
    cl_ulong ns = 0;
    must("clGetEventProfilingInfo", [&] { return clGetEventProfilingInfo(event(), what, sizeof ns, &ns, nullptr); });
    return ns;
  };
  if (words)
    for (const cl::Event& event : events_)
      words->ran(time(event, CL_PROFILING_COMMAND_QUEUED), time(event, CL_PROFILING_COMMAND_SUBMIT),
                 time(event, CL_PROFILING_COMMAND_START), time(event, CL_PROFILING_COMMAND_END));
  release();
}

void Commands::release() {
  const DriverCall in("clReleaseEvent");
  events_.clear();
}

std::string Commands::state() const {
  std::string text;
  for (std::size_t i = 0; i < events_.size(); ++i) {
    const cl_int status = events_[i].getInfo<CL_EVENT_COMMAND_EXECUTION_STATUS>();
    if (status == CL_COMPLETE) continue;
    text += (text.empty() ? "" : ", ") + std::string(calls_[i]) + " " + svm::status_name(status);
  }
  return text + (queue_.out_of_order ? " (out-of-order queue)" : " (in-order queue)");
}

}  // namespace faultline::opencl
