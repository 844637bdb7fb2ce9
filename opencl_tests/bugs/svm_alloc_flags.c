/* clSVMAlloc fails if "the values specified in flags are not valid, i.e. do not match those defined" in its table,
 * which has READ_WRITE, WRITE_ONLY, READ_ONLY, SVM_FINE_GRAIN_BUFFER and SVM_ATOMICS. */
#include "reproduce.h"

int main(void) {
  begin();
  const cl_svm_mem_flags flags[] = {CL_MEM_USE_HOST_PTR,   CL_MEM_ALLOC_HOST_PTR, CL_MEM_COPY_HOST_PTR,
                                    CL_MEM_HOST_READ_ONLY, CL_MEM_HOST_NO_ACCESS, 1 << 30};
  for (unsigned i = 0; i < sizeof flags / sizeof *flags; ++i) {
    void* memory = clSVMAlloc(context, CL_MEM_READ_WRITE | flags[i], 64, 0);
    printf("flags 0x%lx: ", (unsigned long)(CL_MEM_READ_WRITE | flags[i]));
    expect("allocated", memory != NULL, 0);
    clSVMFree(context, memory);
  }
  return bugs;
}
