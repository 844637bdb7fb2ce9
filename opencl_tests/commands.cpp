#include "opencl_tests/commands.h"

namespace faultline::opencl {

void must(cl_int error, const char* call) {
  if (error != CL_SUCCESS) throw cl::Error(error, call);
}

Queue::Queue(const cl::Context& context, const cl::Device& device, bool out)
    : queue(context, device,
            out ? cl::QueueProperties::Profiling | cl::QueueProperties::OutOfOrder : cl::QueueProperties::Profiling),
      out_of_order(out) {}

Commands::~Commands() {
  if (!events_.empty()) clFinish(queue_.queue());
}

void Commands::wait(DriverWords* words) {
  must(clWaitForEvents(1, &events_.back()()), "clWaitForEvents");
  const auto time = [](const cl::Event& event, cl_profiling_info what) {
    cl_ulong ns = 0;
    must(clGetEventProfilingInfo(event(), what, sizeof ns, &ns, nullptr), "clGetEventProfilingInfo");
    return ns;
  };
  if (words)
    for (const cl::Event& event : events_)
      words->ran(time(event, CL_PROFILING_COMMAND_QUEUED), time(event, CL_PROFILING_COMMAND_SUBMIT),
                 time(event, CL_PROFILING_COMMAND_START), time(event, CL_PROFILING_COMMAND_END));
  events_.clear();
}

}  // namespace faultline::opencl
