/* clSetKernelExecInfo must return CL_INVALID_VALUE for an undefined name, for a size without a value, and for a size that
 * does not fit the name. It must return CL_INVALID_OPERATION for CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM if no device
 * supports it. */
#include "reproduce.h"

int main(void) {
  begin();
  const char* source = "__kernel void k(__global int* a) { a[0] = 1; }";
  cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
  clBuildProgram(program, 1, &device, "", NULL, NULL);
  cl_kernel kernel = clCreateKernel(program, "k", NULL);
  void* pointer = clSVMAlloc(context, CL_MEM_READ_WRITE, 64, 0);
  const cl_bool yes = CL_TRUE;
  expect("an undefined name", clSetKernelExecInfo(kernel, 0x1234, sizeof pointer, &pointer), CL_INVALID_VALUE);
  expect("a null value with a size", clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, 8, NULL),
         CL_INVALID_VALUE);
  expect("three bytes of a pointer", clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, 3, &pointer),
         CL_INVALID_VALUE);
  cl_device_svm_capabilities svm = 0;
  clGetDeviceInfo(device, CL_DEVICE_SVM_CAPABILITIES, sizeof svm, &svm, NULL);
  if (!(svm & CL_DEVICE_SVM_FINE_GRAIN_SYSTEM))
    expect("system memory that the device lacks",
           clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof yes, &yes),
           CL_INVALID_OPERATION);
  return bugs;
}
