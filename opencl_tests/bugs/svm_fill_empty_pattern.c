/* clEnqueueSVMMemFill must return CL_INVALID_VALUE for a pattern of 0 bytes. */
#include "reproduce.h"

int main(void) {
  begin();
  void* memory = clSVMAlloc(context, CL_MEM_READ_WRITE, 4096, 0);
  puts("an empty pattern:");
  fflush(stdout);
  expect("clEnqueueSVMMemFill", clEnqueueSVMMemFill(queue, memory, "", 0, 64, 0, NULL, NULL), CL_INVALID_VALUE);
  return bugs;
}
