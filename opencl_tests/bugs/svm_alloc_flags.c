/* clSVMAlloc must fail for flags that are not in its table: at most one of READ_WRITE, WRITE_ONLY and READ_ONLY, and
 * SVM_FINE_GRAIN_BUFFER and SVM_ATOMICS. It must also fail for flags that the device does not support. */
#include "reproduce.h"

int main(void) {
  begin();
  cl_device_svm_capabilities svm = 0;
  clGetDeviceInfo(device, CL_DEVICE_SVM_CAPABILITIES, sizeof svm, &svm, NULL);
  const cl_svm_mem_flags flags[] = {CL_MEM_READ_WRITE | CL_MEM_WRITE_ONLY,
                                    CL_MEM_READ_WRITE | CL_MEM_READ_ONLY,
                                    CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR,
                                    CL_MEM_READ_WRITE | CL_MEM_HOST_READ_ONLY,
                                    CL_MEM_READ_WRITE | CL_MEM_HOST_NO_ACCESS,
                                    CL_MEM_READ_WRITE | 1 << 30,
                                    CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER | CL_MEM_SVM_ATOMICS};
  for (unsigned i = 0; i < sizeof flags / sizeof *flags; ++i) {
    if ((flags[i] & CL_MEM_SVM_ATOMICS) && (svm & CL_DEVICE_SVM_ATOMICS)) continue;
    void* memory = clSVMAlloc(context, flags[i], 64, 0);
    printf("flags 0x%lx: ", (unsigned long)flags[i]);
    expect("allocated", memory != NULL, 0);
    clSVMFree(context, memory);
  }
  return bugs;
}
