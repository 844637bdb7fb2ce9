/* clEnqueueSVMMap must return CL_INVALID_VALUE for flags that are not map flags. */
#include "reproduce.h"

int main(void) {
  begin();
  void* memory = clSVMAlloc(context, CL_MEM_READ_WRITE, 4096, 0);
  expect("clEnqueueSVMMap", clEnqueueSVMMap(queue, CL_TRUE, 1 << 20, memory, 64, 0, NULL, NULL), CL_INVALID_VALUE);
  return bugs;
}
