/* A blocking clEnqueueSVMMap or clEnqueueSVMMemcpy must return CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST if an
 * event of its list has failed. If it does not return, SIGALRM ends the process after five seconds. */
#include "reproduce.h"

#include <unistd.h>

int main(void) {
  begin();
  void* memory = clSVMAlloc(context, CL_MEM_READ_WRITE, 4096, 0);
  cl_event failed = clCreateUserEvent(context, NULL);
  clSetUserEventStatus(failed, -1);
  alarm(5);
  puts("a blocking map that waits for a failed event:");
  fflush(stdout);
  expect("clEnqueueSVMMap", clEnqueueSVMMap(queue, CL_TRUE, CL_MAP_READ, memory, 4096, 1, &failed, NULL),
         CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
  return bugs;
}
