// More memory than the GPU has. Two processes, one after the other, prefetch their pages to it by KFD's SVM; then both
// read them back.
//
//   overcommit MIB      of each process. Prints a line for each: requests, those refused, moves to VRAM and evictions (of which the
//                       driver drops events), the VRAM that was used at most, pages that are wrong
//
// It runs in the lab, where amdgpu's is the only KFD node. Exit status: 0 all pages are right, 1 some are not, 2 no KFD.
#include <dirent.h>
#include <fcntl.h>
#include <linux/kfd_ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <amdgpu_drm.h>

#define CHUNK (2ul << 20)
#define PAGE 4096ul

static unsigned gpu_id(void) {
  unsigned id = 0;
  char path[80];
  for (int node = 0; node < 16 && !id; ++node) {
    snprintf(path, sizeof path, "/sys/class/kfd/kfd/topology/nodes/%d/gpu_id", node);
    FILE* file = fopen(path, "r");
    if (!file) continue;
    if (fscanf(file, "%u", &id) != 1) id = 0;
    fclose(file);
  }
  return id;
}

static int render_node(void) {
  for (int minor = 128; minor < 140; ++minor) {
    char path[40];
    snprintf(path, sizeof path, "/dev/dri/renderD%d", minor);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint64_t size = 0;
    struct drm_amdgpu_info ask = {
        .return_pointer = (uintptr_t)&size, .return_size = sizeof size, .query = AMDGPU_INFO_VRAM_USAGE};
    if (fd >= 0 && ioctl(fd, DRM_IOCTL_AMDGPU_INFO, &ask) == 0) return fd;
    if (fd >= 0) close(fd);
  }
  return -1;
}

static uint64_t vram_used(int fd) {
  uint64_t value = 0;
  struct drm_amdgpu_info ask = {
      .return_pointer = (uintptr_t)&value, .return_size = sizeof value, .query = AMDGPU_INFO_VRAM_USAGE};
  ioctl(fd, DRM_IOCTL_AMDGPU_INFO, &ask);
  return value;
}

// Events of this process's migrations; the driver keeps 1,024 bytes of them, and drops more.
static FILE* migrations(int kfd, unsigned id) {
  struct kfd_ioctl_smi_events_args args = {.gpuid = id};
  if (ioctl(kfd, AMDKFD_IOC_SMI_EVENTS, &args)) return NULL;
  const uint64_t mask = KFD_SMI_EVENT_MASK_FROM_INDEX(KFD_SMI_EVENT_MIGRATE_START);
  fcntl(args.anon_fd, F_SETFL, O_NONBLOCK);
  return write(args.anon_fd, &mask, sizeof mask) == sizeof mask ? fdopen(args.anon_fd, "r") : NULL;
}

struct moves {
  size_t by[4];  // of KFD_MIGRATE_TRIGGERS
};

static void count_moves(FILE* events, struct moves* moves) {
  unsigned trigger;
  // ns -pid @start(pages) from->to prefetch:preferred trigger
  while (fscanf(events, "%*x %*u -%*u @%*x(%*x) %*x->%*x %*x:%*x %u\n", &trigger) == 1)
    if (trigger < 4) ++moves->by[trigger];
  clearerr(events);
}

static int prefetch(int kfd, unsigned id, void* at) {
  struct kfd_ioctl_svm_args* args = calloc(1, sizeof *args + 2 * sizeof args->attrs[0]);
  args->start_addr = (uintptr_t)at, args->size = CHUNK, args->op = KFD_IOCTL_SVM_OP_SET_ATTR, args->nattr = 2;
  args->attrs[0].type = KFD_IOCTL_SVM_ATTR_ACCESS, args->attrs[0].value = id;
  args->attrs[1].type = KFD_IOCTL_SVM_ATTR_PREFETCH_LOC, args->attrs[1].value = id;
  const unsigned long request = AMDKFD_IOC_SVM + ((2 * sizeof args->attrs[0]) << _IOC_SIZESHIFT);
  const int failed = ioctl(kfd, request, args);
  free(args);
  return failed;
}

// Until the other process closes its end of the pipe.
static void wait_for(int fd) {
  char byte;
  if (read(fd, &byte, 1) < 0) perror("read");
}

static int process(const char* name, size_t bytes, int before, int after, int end) {
  const int kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC), drm = render_node();
  struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = drm, .gpu_id = gpu_id()};
  if (kfd < 0 || drm < 0 || ioctl(kfd, AMDKFD_IOC_ACQUIRE_VM, &acquire)) return perror("KFD"), 2;
  FILE* events = migrations(kfd, acquire.gpu_id);
  if (!events) return perror("SMI events"), 2;
  struct kfd_ioctl_set_xnack_mode_args xnack = {.xnack_enabled = 1};
  ioctl(kfd, AMDKFD_IOC_SET_XNACK_MODE, &xnack);
  char* all = mmap(NULL, bytes + CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return perror("mmap"), 2;
  char* memory = (char*)(((uintptr_t)all + CHUNK - 1) & ~(CHUNK - 1));
  const size_t pattern = (size_t)name[0] << 56;
  for (size_t at = 0; at < bytes; at += PAGE) *(size_t*)(memory + at) = at ^ pattern;
  wait_for(before);
  struct moves moves = {{0}};
  size_t asked = 0, refused = 0, wrong = 0;
  uint64_t most = 0;
  for (size_t at = 0; at < bytes; at += CHUNK, ++asked) {
    refused += prefetch(kfd, acquire.gpu_id, memory + at) != 0;
    const uint64_t used = vram_used(drm);
    count_moves(events, &moves);
    if (used > most) most = used;
  }
  close(after);
  wait_for(end);
  count_moves(events, &moves);
  for (size_t at = 0; at < bytes; at += PAGE) wrong += *(size_t*)(memory + at) != (at ^ pattern);
  printf("%s: asked %zu refused %zu moved %zu evicted %zu most %llu KiB wrong %zu\n", name, asked, refused, moves.by[0],
         moves.by[3], (unsigned long long)(most >> 10), wrong);
  return wrong != 0;
}

int main(int count, char** words) {
  const size_t bytes = (count > 1 ? strtoul(words[1], NULL, 10) : 32) << 20;
  int start[2], next[2], both[2];
  if (pipe(start) || pipe(next) || pipe(both)) return perror("pipe"), 2;
  close(start[1]);  // each waits for the end of a pipe
  const pid_t first = fork();
  if (first == 0) {
    close(both[1]);
    _exit(process("first", bytes, start[0], next[1], both[0]) + fflush(stdout));
  }
  close(next[1]);
  const pid_t second = fork();
  if (second == 0) _exit(process("second", bytes, next[0], both[1], start[0]) + fflush(stdout));
  close(both[1]);
  int worst = 0, status = 0;
  while (wait(&status) > 0) {
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 3;
    if (code > worst) worst = code;
  }
  return worst;
}
