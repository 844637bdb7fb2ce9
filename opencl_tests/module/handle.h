// One reference to an OpenCL object, released at the end.
#pragma once

#include <utility>

#include <CL/cl.h>

namespace faultline::svm {

template <typename T, cl_int (*release)(T)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T raw) : raw_(raw) {}
  Handle(Handle&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(raw_, other.raw_);
    return *this;
  }
  ~Handle() {
    if (raw_) release(raw_);
  }
  T get() const { return raw_; }
  T* out() { return &raw_; }

 private:
  T raw_ = nullptr;
};

// Wrappers, because functions of cl.h have attributes, and a template parameter would drop them with a warning.
inline cl_int release_context(cl_context raw) { return clReleaseContext(raw); }
inline cl_int release_queue(cl_command_queue raw) { return clReleaseCommandQueue(raw); }
inline cl_int release_event(cl_event raw) { return clReleaseEvent(raw); }
inline cl_int release_program(cl_program raw) { return clReleaseProgram(raw); }
inline cl_int release_kernel(cl_kernel raw) { return clReleaseKernel(raw); }
inline cl_int release_memory(cl_mem raw) { return clReleaseMemObject(raw); }

using ContextHandle = Handle<cl_context, release_context>;
using QueueHandle = Handle<cl_command_queue, release_queue>;
using EventHandle = Handle<cl_event, release_event>;
using ProgramHandle = Handle<cl_program, release_program>;
using KernelHandle = Handle<cl_kernel, release_kernel>;
using MemoryHandle = Handle<cl_mem, release_memory>;

}  // namespace faultline::svm
