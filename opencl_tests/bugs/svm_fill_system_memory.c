/* clEnqueueSVMMemFill: memory of the host is filled as a buffer is, on a device with fine-grained system SVM. */
#include "reproduce.h"

#include <string.h>

int main(void) {
  begin();
  cl_device_svm_capabilities svm = 0;
  clGetDeviceInfo(device, CL_DEVICE_SVM_CAPABILITIES, sizeof svm, &svm, NULL);
  if (!(svm & CL_DEVICE_SVM_FINE_GRAIN_SYSTEM)) {
    puts("no fine-grained system SVM");
    return 2;
  }
  const int pattern = 7;
  int* memory = aligned_alloc(4096, 4096);
  memset(memory, 0, 4096);
  puts("a fill of memory from aligned_alloc():");
  fflush(stdout);
  expect("clEnqueueSVMMemFill", clEnqueueSVMMemFill(queue, memory, &pattern, sizeof pattern, 4096, 0, NULL, NULL), CL_SUCCESS);
  expect("clFinish", clFinish(queue), CL_SUCCESS);
  expect("the last word", memory[1023], 7);
  return bugs;
}
