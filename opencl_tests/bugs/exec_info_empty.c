/* clSetKernelExecInfo must accept an empty list (0 bytes at NULL) for CL_KERNEL_EXEC_INFO_SVM_PTRS: it cancels all earlier
 * pointers. */
#include "reproduce.h"

int main(void) {
  begin();
  const char* source = "__kernel void k(__global int* a) { a[0] = 1; }";
  cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
  clBuildProgram(program, 1, &device, "", NULL, NULL);
  cl_kernel kernel = clCreateKernel(program, "k", NULL);
  expect("clSetKernelExecInfo", clSetKernelExecInfo(kernel, CL_KERNEL_EXEC_INFO_SVM_PTRS, 0, NULL), CL_SUCCESS);
  return bugs;
}
