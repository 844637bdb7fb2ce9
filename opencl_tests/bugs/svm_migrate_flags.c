/* clEnqueueSVMMigrateMem must return CL_INVALID_VALUE for flags that are not migration flags. */
#include "reproduce.h"

int main(void) {
  begin();
  const void* memory = clSVMAlloc(context, CL_MEM_READ_WRITE, 4096, 0);
  expect("clEnqueueSVMMigrateMem", clEnqueueSVMMigrateMem(queue, 1, &memory, NULL, 1 << 20, 0, NULL, NULL),
         CL_INVALID_VALUE);
  return bugs;
}
