// An OpenCL layer that puts one fault into the driver below it. For tests only: it plays broken drivers, to show that
// every check of the suite can fail.
#pragma once

#include <vector>

#include <CL/cl_layer.h>

namespace faultline::layer {

// The functions of the driver, or of the layer below.
extern cl_icd_dispatch next;

struct Fault {
  const char* name;
  const char* stands_for;
  void (*install)(cl_icd_dispatch& table);
};

// One table per file.
extern const std::vector<Fault> memory_faults;
extern const std::vector<Fault> order_faults;
extern const std::vector<Fault> kernel_faults;
extern const std::vector<Fault> answer_faults;
extern const std::vector<Fault> device_faults;
extern const std::vector<Fault> extension_faults;
extern const std::vector<Fault> crash_faults;

// The events that a command waits for; the layer adds its own.
class Waits {
 public:
  Waits(cl_uint count, const cl_event* events) : events_(events, events + count) {}
  Waits& and_for(cl_event event) {
    if (event) events_.push_back(event);
    return *this;
  }
  cl_uint count() const { return static_cast<cl_uint>(events_.size()); }
  const cl_event* data() const { return events_.empty() ? nullptr : events_.data(); }

 private:
  std::vector<cl_event> events_;
};

cl_context context_of(cl_command_queue queue);

// clCreateProgramWithSource() with something in front of the source.
cl_program with_source(cl_context context, cl_uint count, const char** texts, const std::size_t* lengths, cl_int* code,
                       const char* prefix);

}  // namespace faultline::layer
