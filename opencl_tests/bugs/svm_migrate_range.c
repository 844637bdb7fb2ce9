/* clEnqueueSVMMigrateMem must return CL_INVALID_VALUE for a range with a size that is not inside one allocation of
 * clSVMAlloc. */
#include "reproduce.h"

int main(void) {
  begin();
  const void* memory = clSVMAlloc(context, CL_MEM_READ_WRITE, 4096, 0);
  const void* system = malloc(4096);
  size_t size = 4097;
  expect("a byte too long", clEnqueueSVMMigrateMem(queue, 1, &memory, &size, 0, 0, NULL, NULL), CL_INVALID_VALUE);
  size = 64;
  expect("not of clSVMAlloc", clEnqueueSVMMigrateMem(queue, 1, &system, &size, 0, 0, NULL, NULL), CL_INVALID_VALUE);
  return bugs;
}
