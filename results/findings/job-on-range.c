// Shows the deadlock of job-on-range.md: a job (amdgpu_cs) waits on ring page0 for the answer to its fault, and the worker that
// answers it waits for a clear, which is behind the job on that ring.
//
// Each job copies from a new range, which its fault moves to VRAM, and has a context of its own: the scheduler takes the ring
// with the fewest contexts, so that page0 has its turn. There is one job at a time. So if the worker is in
// svm_range_vram_node_new(), it answers this job's fault, and if page0 is the one ring with unfinished fences, the clear that it
// waits for is behind the job. That does not depend on time. Still, jobs of a plain VM that come later must finish. Needs root.
//
// With the word in-place, the ranges stay in system memory: the same faults on the same rings, but nothing to clear.
//
// exit status: 0 shown, 1 all jobs ended, also on page0, 2 something failed
#include <amdgpu_drm.h>
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "gpu.h"

enum { jobs = 16, plain_jobs = 20, rings = 8, target_word = 16 };
enum { seconds = 8 };  // less than the kernel's own limit for a job (lockup_timeout)

// A context with a page for commands and a word to copy to, in the VM of `node`.
struct context {
  int node;
  uint32_t id, buffer;
  uint32_t* commands;
};

static struct context open_context(int node) {
  struct context context = {.node = node};
  union drm_amdgpu_ctx ctx = {.in = {.op = AMDGPU_CTX_OP_ALLOC_CTX}};
  check(ioctl(node, DRM_IOCTL_AMDGPU_CTX, &ctx) == 0, "DRM_AMDGPU_CTX");
  context.id = ctx.out.alloc.ctx_id;
  union drm_amdgpu_gem_create create = {.in = {.bo_size = page_bytes, .alignment = page_bytes, .domains = AMDGPU_GEM_DOMAIN_GTT}};
  check(ioctl(node, DRM_IOCTL_AMDGPU_GEM_CREATE, &create) == 0, "DRM_AMDGPU_GEM_CREATE");
  context.buffer = create.out.handle;
  union drm_amdgpu_gem_mmap map = {.in = {.handle = context.buffer}};
  check(ioctl(node, DRM_IOCTL_AMDGPU_GEM_MMAP, &map) == 0, "DRM_AMDGPU_GEM_MMAP");
  context.commands = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, node, (off_t)map.out.addr_ptr);
  check(context.commands != MAP_FAILED, "mmap of a buffer");
  struct drm_amdgpu_gem_va va = {.handle = context.buffer,  // at the CPU's address: no range can be there
                                 .operation = AMDGPU_VA_OP_MAP,
                                 .flags = AMDGPU_VM_PAGE_READABLE | AMDGPU_VM_PAGE_WRITEABLE | AMDGPU_VM_PAGE_EXECUTABLE,
                                 .va_address = (uintptr_t)context.commands,
                                 .map_size = page_bytes};
  check(ioctl(node, DRM_IOCTL_AMDGPU_GEM_VA, &va) == 0, "DRM_AMDGPU_GEM_VA");
  return context;
}

// Copies four bytes to the context's page by a job of the SDMA engines, and waits. 0: it did not end within the seconds.
static int job_copy(const struct context* context, const void* from) {
  enum { copy_linear = 1, words = target_word };
  const uint64_t source = (uintptr_t)from, target = (uintptr_t)(context->commands + target_word);
  const uint32_t packet[words] = {copy_linear, 3, 0, (uint32_t)source, source >> 32, (uint32_t)target, target >> 32};
  memcpy(context->commands, packet, sizeof packet);  // what follows are NOPs
  struct drm_amdgpu_bo_list_entry buffer = {.bo_handle = context->buffer};
  struct drm_amdgpu_bo_list_in list = {
      .operation = ~0U, .list_handle = ~0U, .bo_number = 1, .bo_info_size = sizeof buffer, .bo_info_ptr = (uintptr_t)&buffer};
  struct drm_amdgpu_cs_chunk_ib ib = {
      .va_start = (uintptr_t)context->commands, .ib_bytes = sizeof packet, .ip_type = AMDGPU_HW_IP_DMA};
  struct drm_amdgpu_cs_chunk chunks[] = {{AMDGPU_CHUNK_ID_BO_HANDLES, sizeof list / 4, (uintptr_t)&list},
                                         {AMDGPU_CHUNK_ID_IB, sizeof ib / 4, (uintptr_t)&ib}};
  const uint64_t pointers[] = {(uintptr_t)&chunks[0], (uintptr_t)&chunks[1]};
  union drm_amdgpu_cs job = {.in = {.ctx_id = context->id, .num_chunks = 2, .chunks = (uintptr_t)pointers}};
  check(ioctl(context->node, DRM_IOCTL_AMDGPU_CS, &job) == 0, "DRM_AMDGPU_CS");
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  union drm_amdgpu_wait_cs wait = {.in = {.handle = job.out.handle,
                                          .timeout = (uint64_t)(now.tv_sec + seconds) * 1000000000 + (uint64_t)now.tv_nsec,
                                          .ip_type = AMDGPU_HW_IP_DMA,
                                          .ctx_id = context->id}};
  check(ioctl(context->node, DRM_IOCTL_AMDGPU_WAIT_CS, &wait) == 0, "DRM_AMDGPU_WAIT_CS");
  return wait.out.status == 0;
}

struct ring {
  char name[16];
  unsigned signaled, emitted;
};

// The SDMA engines' rings, by amdgpu_debugfs_fence_info_show(): their number.
static int read_rings(struct ring* ring) {
  char path[64], line[128], name[16];
  FILE* file = NULL;
  for (int minor = 0; minor < 8 && !file; ++minor) {
    snprintf(path, sizeof path, "/sys/kernel/debug/dri/%d/amdgpu_fence_info", minor);
    file = fopen(path, "r");
  }
  check(file != NULL, "/sys/kernel/debug/dri/*/amdgpu_fence_info");
  int count = 0, trailing = 0, number;
  struct ring* of = NULL;
  while (fgets(line, sizeof line, file)) {
    if (sscanf(line, "--- ring %d (%15[^)])", &number, name) == 2) {
      of = (strncmp(name, "sdma", 4) == 0 || strncmp(name, "page", 4) == 0) && count < rings ? &ring[count++] : NULL;
      if (of) strcpy(of->name, name);
      trailing = 0;
    }
    trailing |= strstr(line, "trailing") != NULL;
    if (!of || trailing) continue;
    sscanf(line, "Last signaled fence %x", &of->signaled);
    sscanf(line, "Last emitted %x", &of->emitted);
  }
  fclose(file);
  return count;
}

// The stack of the worker that moves a range to VRAM for a fault. 0: there is none.
static int read_worker(char* stack, size_t bytes) {
  DIR* tasks = opendir("/proc");
  check(tasks != NULL, "/proc");
  int found = 0;
  for (struct dirent* task; !found && (task = readdir(tasks));) {
    char path[300];
    snprintf(path, sizeof path, "/proc/%s/stack", task->d_name);
    FILE* file = fopen(path, "r");
    if (!file) continue;
    stack[fread(stack, 1, bytes - 1, file)] = 0;
    fclose(file);
    found = strstr(stack, "svm_range_restore_pages") && strstr(stack, "svm_range_vram_node_new");
  }
  closedir(tasks);
  return found;
}

// Whether the job of the process hangs for the reason that is to be shown. Says what it sees.
static int is_deadlock(pid_t process, int its_node) {
  static char stack[8192];
  struct ring before[rings], after[rings];
  const int count = read_rings(before);
  int worker = read_worker(stack, sizeof stack);
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", process, its_node);
  const int node = open(path, O_RDWR | O_CLOEXEC);  // the same device, with a VM of its own
  check(node >= 0, path);
  const struct context plain = open_context(node);
  int others = 1;
  for (int i = 0; i < plain_jobs && others; ++i) others = job_copy(&plain, plain.commands);
  printf("%d jobs of another VM, later: %s\n", plain_jobs, others ? "done" : "not done");
  worker = worker && read_worker(stack, sizeof stack);
  read_rings(after);
  int page0 = 0, rest = 0;  // rings that wait
  for (int i = 0; i < count; ++i) {
    const struct ring* ring = &after[i];
    printf("%s: signaled %u, emitted %u\n", ring->name, ring->signaled, ring->emitted);
    if (ring->signaled == ring->emitted) continue;
    if (strcmp(ring->name, "page0") == 0) page0 = before[i].signaled == ring->signaled;
    else ++rest;
  }
  printf("the worker:\n%s", worker ? stack : "does not move a range\n");
  return others && worker && page0 && !rest;
}

// The GPU's faults that the driver has answered for this process.
static unsigned long read_faults(const struct gpu* gpu) {
  char path[96];
  unsigned long faults = 0;
  snprintf(path, sizeof path, "/sys/class/kfd/kfd/proc/%d/counters_%u/faults", getpid(), gpu->id);
  FILE* file = fopen(path, "r");
  check(file && fscanf(file, "%lu", &faults) == 1, path);
  fclose(file);
  return faults;
}

// Does the jobs. Gives the number of the render node to the pipe if one does not end.
static int do_jobs(int in_place, int pipe) {
  struct gpu gpu = open_gpu(1);
  int on_page0 = 0;
  for (int i = 0; i < jobs; ++i) {
    uint32_t* a = pages(page_bytes);
    const uint32_t attribute = in_place ? KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE : KFD_IOCTL_SVM_ATTR_PREFERRED_LOC;
    set_attribute(&gpu, a, page_bytes, attribute, gpu.id);
    check(madvise(a, page_bytes, MADV_DONTNEED) == 0, "MADV_DONTNEED");  // in-place has mapped it for the GPU
    *a = (uint32_t)i + 1;
    const unsigned long faults = read_faults(&gpu);
    const struct context context = open_context(gpu.node);
    struct ring before[rings], after[rings];
    read_rings(before);
    if (!job_copy(&context, a)) {
      check(write(pipe, &gpu.node, sizeof gpu.node) == sizeof gpu.node, "a pipe");
      for (;;) pause();
    }
    for (int ms = 0; ms < seconds * 1000 && read_faults(&gpu) == faults; ++ms) usleep(1000);  // it is counted after the answer
    check(read_faults(&gpu) > faults, "a job without a fault");
    check(context.commands[target_word] == (uint32_t)i + 1, "what a job copied");
    const int found = read_rings(after);
    printf("job %d:", i);
    for (int each = 0; each < found; ++each) {
      const unsigned fences = after[each].emitted - before[each].emitted;
      if (fences) printf(" %s %u", after[each].name, fences);
      on_page0 += fences && strcmp(after[each].name, "page0") == 0;
    }
    puts(" fences");
  }
  if (!on_page0) fputs("no job came to page0\n", stderr);
  else puts("not shown");
  return on_page0 ? not_shown : failed;
}

// A process of its own watches: the worker holds the mmap_lock of the one that hangs.
int main(int count, char** words) {
  setlinebuf(stdout);
  int ends[2], node, status;
  check(pipe(ends) == 0, "pipe");
  const pid_t process = fork();
  check(process >= 0, "fork");
  if (process == 0) {
    close(ends[0]);
    exit(do_jobs(count > 1 && strcmp(words[1], "in-place") == 0, ends[1]));
  }
  close(ends[1]);
  if (read(ends[0], &node, sizeof node) != sizeof node) {
    check(waitpid(process, &status, 0) == process && WIFEXITED(status), "the process that does the jobs");
    return WEXITSTATUS(status);
  }
  const int found = is_deadlock(process, node);
  puts(found ? "shown: a job on page0 waits for the worker, which waits for page0" : "a job does not end, for another reason");
  kill(process, SIGKILL);  // it does not end where the deadlock is
  return found ? shown : failed;
}
