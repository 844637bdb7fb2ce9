// What the programs here share: a KFD process on the first GPU of amdgpu, its SVM attributes, and a user queue of the SDMA
// engine, by bare system calls. They are linked statically, to run in the virtual lab.
//
// A function that fails says what, and exits with status 2.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/kfd_ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { page_bytes = 4096, ring_bytes = 65536, shown = 0, not_shown = 1, failed = 2 };

static inline void check(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(failed);
}

struct gpu {
  int kfd;
  int node;  // the render node, whose VM is KFD's
  uint32_t id;
  uint32_t* ring;
  volatile uint64_t* pointers;  // [0] write pointer in bytes, [16] read pointer, [32] what the fence packet writes
  volatile uint64_t* doorbell;
  uint32_t fences;
};

// Anonymous memory. A forked process does not get it, unless madvise(MADV_DOFORK) asks for that: so fork() moves no page.
static inline void* pages(size_t bytes) {
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  check(memory != MAP_FAILED && madvise(memory, bytes, MADV_DONTFORK) == 0, "mmap");
  memset(memory, 0, bytes);
  return memory;
}

// svm_ioctl(), KFD_IOCTL_SVM_OP_SET_ATTR with one attribute.
static inline void set_attribute(const struct gpu* gpu, void* start, size_t bytes, uint32_t type, uint32_t value) {
  char message[sizeof(struct kfd_ioctl_svm_args) + sizeof(struct kfd_ioctl_svm_attribute)] = {0};
  struct kfd_ioctl_svm_args* arguments = (void*)message;
  arguments->start_addr = (uintptr_t)start;
  arguments->size = bytes;
  arguments->op = KFD_IOCTL_SVM_OP_SET_ATTR;
  arguments->nattr = 1;
  arguments->attrs[0].type = type;
  arguments->attrs[0].value = value;
  const unsigned long request = AMDKFD_IOC_SVM + (sizeof(struct kfd_ioctl_svm_attribute) << _IOC_SIZESHIFT);
  check(ioctl(gpu->kfd, request, message) == 0, "AMDKFD_IOC_SVM");
}

static inline struct gpu open_gpu(int xnack) {
  struct gpu gpu = {.kfd = open("/dev/kfd", O_RDWR | O_CLOEXEC)};
  check(gpu.kfd >= 0, "/dev/kfd");
  struct kfd_process_device_apertures aperture = {0};
  struct kfd_ioctl_get_process_apertures_new_args nodes = {.kfd_process_device_apertures_ptr = (uintptr_t)&aperture,
                                                           .num_of_nodes = 1};
  check(ioctl(gpu.kfd, AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &nodes) == 0, "AMDKFD_IOC_GET_PROCESS_APERTURES_NEW");
  gpu.id = aperture.gpu_id;
  int acquired = 0;
  for (int minor = 128; minor < 136 && !acquired; ++minor) {  // it fails for the render node of another driver
    char path[32];
    snprintf(path, sizeof path, "/dev/dri/renderD%d", minor);
    struct kfd_ioctl_acquire_vm_args vm = {.gpu_id = gpu.id};
    gpu.node = open(path, O_RDWR | O_CLOEXEC);
    vm.drm_fd = (uint32_t)gpu.node;
    acquired = gpu.node >= 0 && ioctl(gpu.kfd, AMDKFD_IOC_ACQUIRE_VM, &vm) == 0;
  }
  check(acquired, "AMDKFD_IOC_ACQUIRE_VM");
  struct kfd_ioctl_set_xnack_mode_args mode = {.xnack_enabled = xnack};
  check(ioctl(gpu.kfd, AMDKFD_IOC_SET_XNACK_MODE, &mode) == 0, "AMDKFD_IOC_SET_XNACK_MODE");
  return gpu;
}

// A user queue of the SDMA engine: its ring and pointers are pages of the process, in system memory.
static inline void open_queue(struct gpu* gpu) {
  gpu->ring = pages(ring_bytes);
  gpu->pointers = pages(page_bytes);
  set_attribute(gpu, gpu->ring, ring_bytes, KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE, gpu->id);
  set_attribute(gpu, (void*)gpu->pointers, page_bytes, KFD_IOCTL_SVM_ATTR_ACCESS_IN_PLACE, gpu->id);
  struct kfd_ioctl_create_queue_args queue = {.ring_base_address = (uintptr_t)gpu->ring,
                                              .ring_size = ring_bytes,
                                              .write_pointer_address = (uintptr_t)&gpu->pointers[0],
                                              .read_pointer_address = (uintptr_t)&gpu->pointers[16],
                                              .gpu_id = gpu->id,
                                              .queue_type = KFD_IOC_QUEUE_TYPE_SDMA,
                                              .queue_percentage = 100,
                                              .queue_priority = 7};
  check(ioctl(gpu->kfd, AMDKFD_IOC_CREATE_QUEUE, &queue) == 0, "AMDKFD_IOC_CREATE_QUEUE");
  const uint64_t doorbells = 2 * page_bytes;
  char* mapped =
      mmap(NULL, doorbells, PROT_READ | PROT_WRITE, MAP_SHARED, gpu->kfd, (off_t)(queue.doorbell_offset & ~(doorbells - 1)));
  check(mapped != MAP_FAILED, "mmap of the doorbells");
  gpu->doorbell = (void*)(mapped + (queue.doorbell_offset & (doorbells - 1)));
}

// Copies four bytes and waits. 0: the copy did not end within ten seconds.
static inline int gpu_copy(struct gpu* gpu, void* to, const void* from) {
  enum { copy_linear = 1, fence = 5, words = 16 };
  const uint64_t source = (uintptr_t)from, target = (uintptr_t)to, flag = (uintptr_t)&gpu->pointers[32];
  const uint32_t packets[words] = {
      copy_linear,  3, 0, (uint32_t)source, source >> 32, (uint32_t)target, target >> 32, fence, (uint32_t)flag, flag >> 32,
      ++gpu->fences};  // what follows are NOPs
  const uint64_t end = gpu->pointers[0] + sizeof packets;
  memcpy((char*)gpu->ring + gpu->pointers[0] % ring_bytes, packets, sizeof packets);
  __atomic_store_n(&gpu->pointers[0], end, __ATOMIC_SEQ_CST);
  *gpu->doorbell = end;
  for (int ms = 0; ms < 10000 && (uint32_t)gpu->pointers[32] != gpu->fences; ++ms) usleep(1000);
  return (uint32_t)gpu->pointers[32] == gpu->fences;
}
