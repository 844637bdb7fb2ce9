/* clEnqueueSVMMemFill must return CL_INVALID_VALUE for a null pattern. */
#include "reproduce.h"

int main(void) {
  begin();
  void* memory = clSVMAlloc(context, CL_MEM_READ_WRITE, 4096, 0);
  puts("a null pattern:");
  fflush(stdout);
  expect("clEnqueueSVMMemFill", clEnqueueSVMMemFill(queue, memory, NULL, 4, 64, 0, NULL, NULL), CL_INVALID_VALUE);
  return bugs;
}
