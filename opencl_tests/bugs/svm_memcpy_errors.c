/* clEnqueueSVMMemcpy must return CL_MEM_COPY_OVERLAP for ranges that overlap, and CL_INVALID_EVENT_WAIT_LIST for an invalid
 * event. clEnqueueSVMMigrateMem must return the latter too. Here the caller wants an event; a call that fails does not make
 * one. */
#include "reproduce.h"

int main(void) {
  begin();
  char* memory = clSVMAlloc(context, CL_MEM_READ_WRITE, 8192, 0);
  const void* pointer = memory;
  const cl_event none = NULL;
  for (int i = 0; i < 10; ++i) {
    cl_event event = NULL;
    expect("a copy over itself", clEnqueueSVMMemcpy(queue, CL_TRUE, memory + 2048, memory, 4096, 0, NULL, &event),
           CL_MEM_COPY_OVERLAP);
    fflush(stdout);
    expect("a copy that waits for no valid event",
           clEnqueueSVMMemcpy(queue, CL_FALSE, memory + 4096, memory, 4096, 1, &none, &event),
           CL_INVALID_EVENT_WAIT_LIST);
    fflush(stdout);
    expect("a migration that does", clEnqueueSVMMigrateMem(queue, 1, &pointer, NULL, 0, 1, &none, &event),
           CL_INVALID_EVENT_WAIT_LIST);
    fflush(stdout);
  }
  clFinish(queue);
  clSVMFree(context, memory);
  clReleaseCommandQueue(queue);
  return bugs;
}
