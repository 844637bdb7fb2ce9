/* For all reproducers: the first device with shared virtual memory, a context and a queue.
 * Build a reproducer with `cc -DCL_TARGET_OPENCL_VERSION=300 NAME.c -lOpenCL`. It exits with 0 if the driver does not have
 * the bug, 1 (or a signal) if it has the bug, 2 if there is no device to try it on. */
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>

static cl_device_id device;
static cl_context context;
static cl_command_queue queue;

static void begin(void) {
  cl_platform_id platforms[16];
  cl_uint platform_count = 0;
  clGetPlatformIDs(16, platforms, &platform_count);
  for (cl_uint p = 0; p < platform_count && !device; ++p) {
    cl_device_id devices[16];
    cl_uint count = 0;
    if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 16, devices, &count) != CL_SUCCESS) continue;
    for (cl_uint d = 0; d < count && !device; ++d) {
      cl_device_svm_capabilities svm = 0;
      clGetDeviceInfo(devices[d], CL_DEVICE_SVM_CAPABILITIES, sizeof svm, &svm, NULL);
      if (svm) device = devices[d];
    }
  }
  if (!device) {
    puts("no OpenCL device with shared virtual memory");
    exit(2);
  }
  char name[256] = "", driver[256] = "";
  clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name, name, NULL);
  clGetDeviceInfo(device, CL_DRIVER_VERSION, sizeof driver, driver, NULL);
  printf("%s, driver %s\n", name, driver);
  fflush(stdout);
  context = clCreateContext(NULL, 1, &device, NULL, NULL, NULL);
  queue = clCreateCommandQueueWithProperties(context, device, NULL, NULL);
}

/* Prints what was seen and what it should be; remembers whether they differ. */
static int bugs;
static void expect(const char* what, long seen, long should_be) {
  printf("%s: %ld, should be %ld\n", what, seen, should_be);
  bugs |= seen != should_be;
}
