#include "opencl_tests/module/program.h"

#include <utility>

namespace faultline::svm {
namespace {

std::string logs(const Context& context, cl_program program) {
  std::string all;
  for (const Device& device : context.devices()) {
    std::size_t size = 0;
    if (clGetProgramBuildInfo(program, device.id(), CL_PROGRAM_BUILD_LOG, 0, nullptr, &size) != CL_SUCCESS) continue;
    std::string log(size, '\0');
    clGetProgramBuildInfo(program, device.id(), CL_PROGRAM_BUILD_LOG, size, log.data(), nullptr);
    while (!log.empty() && (log.back() == '\0' || log.back() == '\n')) log.pop_back();
    if (!log.empty()) all += "build log of " + device.text(CL_DEVICE_NAME) + ":\n" + log + "\n";
  }
  return all.empty() ? "the driver has no build log" : all;
}

}  // namespace

Program::Program(std::shared_ptr<Context> context, const std::string& source, const std::string& options)
    : context_(std::move(context)) {
  const auto key = std::make_pair(source, options);
  if (const auto found = context_->programs.find(key); found != context_->programs.end()) {
    raw_ = found->second.get();
    return;
  }
  const char* text = source.c_str();
  const std::size_t length = source.size();
  cl_int code = CL_SUCCESS;
  ProgramHandle handle(clCreateProgramWithSource(context_->get(), 1, &text, &length, &code));
  check("clCreateProgramWithSource", code);
  raw_ = handle.get();
  code = clBuildProgram(raw_, 0, nullptr, options.c_str(), nullptr, nullptr);
  if (code != CL_SUCCESS) throw Error("clBuildProgram", code, logs(*context_, raw_));
  context_->programs.emplace(key, std::move(handle));
}

Kernel::Kernel(std::shared_ptr<Program> program, const std::string& name) : program_(std::move(program)) {
  cl_int code = CL_SUCCESS;
  handle_ = KernelHandle(clCreateKernel(program_->get(), name.c_str(), &code));
  check("clCreateKernel", code);
}

std::shared_ptr<Kernel> Kernel::clone() const {
  cl_int code = CL_SUCCESS;
  KernelHandle copy(clCloneKernel(get(), &code));
  check("clCloneKernel", code);
  std::shared_ptr<Kernel> result(new Kernel(program_, std::move(copy)));
  result->buffers_ = buffers_;
  return result;
}

void Kernel::set_bytes(cl_uint index, const void* value, std::size_t size) {
  check("clSetKernelArg", clSetKernelArg(get(), index, size, value));
}

void Kernel::set_pointer(cl_uint index, std::uintptr_t address) {
  check("clSetKernelArgSVMPointer", clSetKernelArgSVMPointer(get(), index, reinterpret_cast<void*>(address)));
}

void Kernel::set_buffer(cl_uint index, std::shared_ptr<Buffer> buffer) {
  const cl_mem raw = buffer->get();
  check("clSetKernelArg", clSetKernelArg(get(), index, sizeof raw, &raw));
  buffers_.push_back(std::move(buffer));
}

void Kernel::set_svm_pointers(const std::vector<std::uintptr_t>& addresses) {
  set_exec_info(CL_KERNEL_EXEC_INFO_SVM_PTRS, addresses.size() * sizeof(void*), addresses.empty() ? nullptr : addresses.data());
}

void Kernel::set_fine_grain_system(bool used) {
  const cl_bool value = used ? CL_TRUE : CL_FALSE;
  set_exec_info(CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof value, &value);
}

void Kernel::set_exec_info(cl_kernel_exec_info what, std::size_t size, const void* value) {
  check("clSetKernelExecInfo", clSetKernelExecInfo(get(), what, size, value));
}

}  // namespace faultline::svm
