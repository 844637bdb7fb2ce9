// More memory than the GPU has. Two processes, one after the other, prefetch their pages to it by KFD's SVM; then both
// read them back. Or one process, while its memory changes.
//
//   overcommit MIB      of each process. Prints a line for each: requests, those refused, moves to VRAM and evictions (of which the
//                       driver drops events), the VRAM that was used at most, pages that are wrong
//   overcommit MIB N    one process, whose second thread does N changes meanwhile: it unmaps and maps, stores, and reads. The first
//                       thread goes on prefetching all until they are done, so chunks evict each other. A prefetch of a chunk that
//                       has a hole at that moment is refused. At the end no hole is left, and all is read.
//
// It runs in the lab, where amdgpu's is the only KFD node. Exit status: 0 all pages are right, 1 some are not, 2 no KFD.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kfd_ioctl.h>
#include <pthread.h>
#include <stdatomic.h>
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

// A process of the GPU, and its memory, of whole chunks.
struct user {
  int kfd, drm;
  unsigned id;
  FILE* events;
  char* memory;
  size_t bytes;
  struct moves moves;
  size_t asked, refused;
  uint64_t most;
};

static int start_user(struct user* user, size_t bytes) {
  *user = (struct user){.kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC), .drm = render_node(), .id = gpu_id(), .bytes = bytes};
  struct kfd_ioctl_acquire_vm_args acquire = {.drm_fd = user->drm, .gpu_id = user->id};
  if (user->kfd < 0 || user->drm < 0 || ioctl(user->kfd, AMDKFD_IOC_ACQUIRE_VM, &acquire)) return perror("KFD"), 2;
  user->events = migrations(user->kfd, user->id);
  if (!user->events) return perror("SMI events"), 2;
  struct kfd_ioctl_set_xnack_mode_args xnack = {.xnack_enabled = 1};
  ioctl(user->kfd, AMDKFD_IOC_SET_XNACK_MODE, &xnack);
  char* all = mmap(NULL, bytes + CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return perror("mmap"), 2;
  user->memory = (char*)(((uintptr_t)all + CHUNK - 1) & ~(CHUNK - 1));
  return 0;
}

static void prefetch_all(struct user* user) {
  for (size_t at = 0; at < user->bytes; at += CHUNK, ++user->asked) {
    user->refused += prefetch(user->kfd, user->id, user->memory + at) != 0;
    const uint64_t used = vram_used(user->drm);
    count_moves(user->events, &user->moves);
    if (used > user->most) user->most = used;
  }
}

static void tell(const char* name, const struct user* user, size_t wrong) {
  printf("%s: asked %zu refused %zu moved %zu evicted %zu most %llu KiB wrong %zu\n", name, user->asked, user->refused,
         user->moves.by[0], user->moves.by[3], (unsigned long long)(user->most >> 10), wrong);
}

static int process(const char* name, size_t bytes, int before, int after, int end) {
  struct user user;
  if (start_user(&user, bytes)) return 2;
  const size_t pattern = (size_t)name[0] << 56;
  for (size_t at = 0; at < bytes; at += PAGE) *(size_t*)(user.memory + at) = at ^ pattern;
  wait_for(before);
  prefetch_all(&user);
  close(after);
  wait_for(end);
  count_moves(user.events, &user.moves);
  size_t wrong = 0;
  for (size_t at = 0; at < bytes; at += PAGE) wrong += *(size_t*)(user.memory + at) != (at ^ pattern);
  tell(name, &user, wrong);
  return wrong != 0;
}

// The thread that changes mappings and pages, and alone knows what each page must hold.
struct changer {
  char* memory;
  size_t pages, changes;
  size_t* holds;  // by page: its first word; 0 after it was mapped
  size_t wrong;
  unsigned seed;
  atomic_int done;
};

static size_t wrong_pages(const struct changer* it, size_t first, size_t count) {
  size_t wrong = 0;
  for (size_t page = first; page < first + count; ++page) wrong += *(size_t*)(it->memory + page * PAGE) != it->holds[page];
  return wrong;
}

static void remap(struct changer* it, size_t first, size_t count) {
  char* const at = it->memory + first * PAGE;
  munmap(at, count * PAGE);
  if (mmap(at, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at) ++it->wrong;
  memset(it->holds + first, 0, count * sizeof *it->holds);
}

static void* change(void* argument) {
  struct changer* it = argument;
  for (size_t number = 1; number <= it->changes; ++number) {
    const size_t count = 1 + (size_t)rand_r(&it->seed) % 64, first = (size_t)rand_r(&it->seed) % (it->pages - count);
    switch (rand_r(&it->seed) % 3) {
      case 0: remap(it, first, count); break;
      case 1:
        for (size_t page = first; page < first + count; ++page)
          *(size_t*)(it->memory + page * PAGE) = it->holds[page] = number << 20 | page;
        break;
      default: it->wrong += wrong_pages(it, first, count);
    }
  }
  it->done = 1;
  return NULL;
}

static int changing(size_t bytes, size_t changes) {
  struct user user;
  if (start_user(&user, bytes)) return 2;
  struct changer it = {.memory = user.memory, .pages = bytes / PAGE, .changes = changes, .seed = 1};
  it.holds = calloc(it.pages, sizeof *it.holds);
  for (size_t page = 0; page < it.pages; ++page) *(size_t*)(it.memory + page * PAGE) = it.holds[page] = ~page;
  prefetch_all(&user);
  pthread_t thread;
  if ((errno = pthread_create(&thread, NULL, change, &it))) return perror("thread"), 2;
  do prefetch_all(&user);
  while (!it.done);
  pthread_join(thread, NULL);
  count_moves(user.events, &user.moves);
  it.wrong += wrong_pages(&it, 0, it.pages);
  tell("changing", &user, it.wrong);
  return it.wrong != 0;
}

int main(int count, char** words) {
  const size_t bytes = (count > 1 ? strtoul(words[1], NULL, 10) : 32) << 20;
  if (count > 2) return changing(bytes, strtoul(words[2], NULL, 10));
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
