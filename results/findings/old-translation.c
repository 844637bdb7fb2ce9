// Shows the old translation of old-translation.md: with XNACK off, a user queue that was taken away and given back reads a
// page that the range no longer has. A child keeps that page, so that what is read is the old value and no garbage.
//
// exit status: 0 the GPU read the old value, 1 it read the new one, 2 something failed
#include <signal.h>
#include <sys/wait.h>

#include "gpu.h"

int main(void) {
  struct gpu gpu = open_gpu(0);
  open_queue(&gpu);
  volatile uint32_t* a = pages(page_bytes);
  volatile uint32_t* copy = pages(page_bytes);
  set_attribute(&gpu, (void*)copy, page_bytes, KFD_IOCTL_SVM_ATTR_ACCESS, gpu.id);
  *a = 1;
  set_attribute(&gpu, (void*)a, page_bytes, KFD_IOCTL_SVM_ATTR_ACCESS, gpu.id);
  check(gpu_copy(&gpu, (void*)copy, (void*)a), "the first copy");  // now a TLB holds the translation of a
  if (*copy != 1) return printf("the first copy gave %u\n", *copy), failed;

  check(madvise((void*)a, page_bytes, MADV_DOFORK) == 0, "MADV_DOFORK");
  const pid_t child = fork();
  if (child == 0) pause();
  *a = 2;          // breaks COW: the child has the old page, this process a new one
  usleep(300000);  // for svm_range_restore_work()
  check(gpu_copy(&gpu, (void*)copy, (void*)a), "the second copy");
  printf("%s: the CPU wrote 2, and the GPU then read %u\n", *copy == 1 ? "shown" : "not shown", *copy);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return *copy == 1 ? shown : not_shown;
}
