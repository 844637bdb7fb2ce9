// Programs, built once for each context in this process, and their kernels.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "opencl_tests/module/memory.h"

namespace faultline::svm {

// A program of this text and these options. The context builds it on first use. If the build fails, each use throws Error
// with the build logs of all devices that have one.
class Program {
 public:
  Program(std::shared_ptr<Context> context, const std::string& source, const std::string& options);
  cl_program get() const { return raw_; }

 private:
  std::shared_ptr<Context> context_;  // owns raw_
  cl_program raw_;
};

class Kernel {
 public:
  Kernel(std::shared_ptr<Program> program, const std::string& name);
  // clCloneKernel
  std::shared_ptr<Kernel> clone() const;

  void set_bytes(cl_uint index, const void* value, std::size_t size);
  void set_pointer(cl_uint index, std::uintptr_t address);
  void set_buffer(cl_uint index, std::shared_ptr<Buffer> buffer);
  // clSetKernelExecInfo; an empty list cancels all earlier ones.
  void set_svm_pointers(const std::vector<std::uintptr_t>& addresses);
  void set_fine_grain_system(bool used);
  void set_exec_info(cl_kernel_exec_info what, std::size_t size, const void* value);

  cl_kernel get() const { return handle_.get(); }

 private:
  Kernel(std::shared_ptr<Program> program, KernelHandle handle) : program_(std::move(program)), handle_(std::move(handle)) {}

  std::shared_ptr<Program> program_;
  KernelHandle handle_;
  std::vector<std::shared_ptr<Buffer>> buffers_;
};

}  // namespace faultline::svm
