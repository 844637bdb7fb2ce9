/* OpenCL C 3.0: a compiler for a device with CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES has the feature
 * __opencl_c_atomic_scope_all_devices, and with it memory_scope_all_svm_devices. */
#include "reproduce.h"

int main(void) {
  begin();
  cl_device_atomic_capabilities atomics = 0;
  clGetDeviceInfo(device, CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES, sizeof atomics, &atomics, NULL);
  if (!(atomics & CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES)) {
    puts("the device has no atomics at the scope of all devices");
    return 2;
  }
  const char* source =
      "__kernel void k(volatile __global atomic_uint* a) {\n"
      "  atomic_store_explicit(a, 1u, memory_order_relaxed, memory_scope_all_svm_devices);\n"
      "}\n";
  cl_program program = clCreateProgramWithSource(context, 1, &source, NULL, NULL);
  const cl_int code = clBuildProgram(program, 1, &device, "-cl-std=CL3.0", NULL, NULL);
  char log[2000] = "";
  clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, sizeof log - 1, log, NULL);
  puts(log);
  expect("clBuildProgram", code, CL_SUCCESS);
  return bugs;
}
