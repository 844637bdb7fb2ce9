#include "opencl_tests/module/event.h"

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace faultline::svm {
namespace {

template <typename T>
T info(cl_event event, cl_event_info what) {
  T value{};
  check("clGetEventInfo", clGetEventInfo(event, what, sizeof value, &value, nullptr));
  return value;
}

}  // namespace

void within(double seconds, const std::string& what, const std::function<std::string()>& state, std::function<void()> call) {
  struct Call {
    std::mutex mutex;
    std::condition_variable ended;
    bool done = false;
    std::exception_ptr error;
  };
  const auto shared = std::make_shared<Call>();
  std::thread([shared, call = std::move(call)] {
    std::exception_ptr error;
    try {
      call();
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard lock(shared->mutex);
    shared->error = error;
    shared->done = true;
    shared->ended.notify_all();
  }).detach();
  std::unique_lock lock(shared->mutex);
  if (!shared->ended.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return shared->done; })) {
    lock.unlock();
    char text[32];
    std::snprintf(text, sizeof text, "%g", seconds);
    throw Timeout(what + " did not return within " + text + " s; " + state());
  }
  if (shared->error) std::rethrow_exception(shared->error);
}

cl_int Event::status() const { return info<cl_int>(get(), CL_EVENT_COMMAND_EXECUTION_STATUS); }

cl_command_type Event::command() const { return info<cl_command_type>(get(), CL_EVENT_COMMAND_TYPE); }

Times Event::times() const {
  const auto read = [&](cl_profiling_info what) {
    cl_ulong value = 0;
    check("clGetEventProfilingInfo", clGetEventProfilingInfo(get(), what, sizeof value, &value, nullptr));
    return value;
  };
  return {read(CL_PROFILING_COMMAND_QUEUED), read(CL_PROFILING_COMMAND_SUBMIT), read(CL_PROFILING_COMMAND_START),
          read(CL_PROFILING_COMMAND_END)};
}

void wait(const std::vector<std::shared_ptr<Event>>& events, double seconds) {
  const auto state = [&] {
    std::string all;
    for (const auto& event : events) all += (all.empty() ? "" : "; ") + event->state_();
    return all;
  };
  within(seconds, "clWaitForEvents", state, [events] {
    std::vector<cl_event> raw;
    for (const auto& event : events) raw.push_back(event->get());
    const cl_int code = clWaitForEvents(static_cast<cl_uint>(raw.size()), raw.data());
    if (code == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST) {
      std::string which;
      for (const auto& event : events)
        if (event->status() < 0) which += command_name(event->command()) + " failed: " + error_name(event->status());
      throw Error("clWaitForEvents", code, which);
    }
    check("clWaitForEvents", code);
  });
}

UserEvent::UserEvent(const Context& context) : Event(nullptr, [] { return "a user event that nobody set"; }) {
  cl_int code = CL_SUCCESS;
  handle_ = EventHandle(clCreateUserEvent(context.get(), &code));
  check("clCreateUserEvent", code);
}

void UserEvent::set(cl_int status) { check("clSetUserEventStatus", clSetUserEventStatus(get(), status)); }

std::string command_name(cl_command_type command) {
  switch (command) {
    case CL_COMMAND_NDRANGE_KERNEL: return "ndrange-kernel";
    case CL_COMMAND_SVM_FREE: return "svm-free";
    case CL_COMMAND_SVM_MEMCPY: return "svm-memcpy";
    case CL_COMMAND_SVM_MEMFILL: return "svm-memfill";
    case CL_COMMAND_SVM_MAP: return "svm-map";
    case CL_COMMAND_SVM_UNMAP: return "svm-unmap";
    case CL_COMMAND_SVM_MIGRATE_MEM: return "svm-migrate-mem";
    case CL_COMMAND_MIGRATE_MEM_OBJECTS: return "migrate-mem-objects";
    case CL_COMMAND_MAP_BUFFER: return "map-buffer";
    case CL_COMMAND_UNMAP_MEM_OBJECT: return "unmap-mem-object";
    case CL_COMMAND_READ_BUFFER: return "read-buffer";
    case CL_COMMAND_WRITE_BUFFER: return "write-buffer";
    case CL_COMMAND_BARRIER: return "barrier";
    case CL_COMMAND_MARKER: return "marker";
    case CL_COMMAND_USER: return "user";
  }
  return "command " + std::to_string(command);
}

}  // namespace faultline::svm
