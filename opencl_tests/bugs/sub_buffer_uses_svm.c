/* clGetMemObjectInfo with CL_MEM_USES_SVM_POINTER must give CL_TRUE for a buffer over a pointer from clSVMAlloc, and for
 * its sub-buffers. */
#include "reproduce.h"

int main(void) {
  begin();
  void* memory = clSVMAlloc(context, CL_MEM_READ_WRITE, 4096, 0);
  cl_mem parent = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, 4096, memory, NULL);
  const cl_buffer_region region = {0, 2048};
  cl_mem part = clCreateSubBuffer(parent, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, NULL);
  cl_bool uses = CL_FALSE;
  clGetMemObjectInfo(parent, CL_MEM_USES_SVM_POINTER, sizeof uses, &uses, NULL);
  expect("the buffer uses it", uses, CL_TRUE);
  clGetMemObjectInfo(part, CL_MEM_USES_SVM_POINTER, sizeof uses, &uses, NULL);
  expect("its sub-buffer does", uses, CL_TRUE);
  return bugs;
}
