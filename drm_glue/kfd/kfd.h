// /dev/kfd, the node of amdgpu's compute driver (include/uapi/linux/kfd_ioctl.h): SVM ranges and their attributes,
// XNACK, SMI events (system management interface), and user queues with their memory.
//
// A Kfd is one open descriptor. The kernel has one process structure per mm. A forked child does not share it: its requests
// through an inherited descriptor fail with EBADF. Requests return an errno, or 0 for success. They are repeated when
// a signal interrupts them.
#pragma once

#include <linux/kfd_ioctl.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "drm_glue/kernel.h"

namespace faultline::kfd {

// The ABI of every kernel since v5.14. A header that differs is not from Linux.
static_assert(sizeof(kfd_ioctl_get_version_args) == 8);
static_assert(sizeof(kfd_process_device_apertures) == 56 && offsetof(kfd_process_device_apertures, gpu_id) == 48);
static_assert(sizeof(kfd_ioctl_get_process_apertures_new_args) == 16 &&
              offsetof(kfd_ioctl_get_process_apertures_new_args, num_of_nodes) == 8);
static_assert(sizeof(kfd_ioctl_acquire_vm_args) == 8 && offsetof(kfd_ioctl_acquire_vm_args, gpu_id) == 4);
static_assert(sizeof(kfd_ioctl_smi_events_args) == 8 && offsetof(kfd_ioctl_smi_events_args, anon_fd) == 4);
static_assert(sizeof(kfd_ioctl_svm_attribute) == 8 && sizeof(kfd_ioctl_svm_args) == 24 &&
              offsetof(kfd_ioctl_svm_args, op) == 16 && offsetof(kfd_ioctl_svm_args, nattr) == 20);
static_assert(sizeof(kfd_ioctl_set_xnack_mode_args) == 4);
static_assert(sizeof(kfd_ioctl_alloc_memory_of_gpu_args) == 40 && sizeof(kfd_ioctl_map_memory_to_gpu_args) == 24 &&
              sizeof(kfd_ioctl_unmap_memory_from_gpu_args) == 24 && sizeof(kfd_ioctl_free_memory_of_gpu_args) == 8);
static_assert(sizeof(kfd_ioctl_create_queue_args) == 88 && offsetof(kfd_ioctl_create_queue_args, queue_type) == 40 &&
              sizeof(kfd_ioctl_destroy_queue_args) == 8);
static_assert(AMDKFD_IOC_SVM == 0xc0184b20 && AMDKFD_IOC_SET_XNACK_MODE == 0xc0044b21 && AMDKFD_IOC_SMI_EVENTS == 0xc0084b1f &&
              AMDKFD_IOC_ACQUIRE_VM == 0x40084b15 && AMDKFD_IOC_GET_VERSION == 0x80084b01 &&
              AMDKFD_IOC_GET_PROCESS_APERTURES_NEW == 0xc0104b14);

struct Version {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  friend auto operator<=>(const Version&, const Version&) = default;
};
inline constexpr Version with_smi_events{1, 3};
inline constexpr Version with_svm{1, 5};
inline constexpr Version with_migration_events{1, 10};  // events of migrations, page faults and queues

enum class Xnack { off, on };

class Kfd {
 public:
  explicit Kfd(Kernel& kernel = real_kernel()) : kernel_(kernel) {}
  ~Kfd();
  Kfd(const Kfd&) = delete;
  Kfd& operator=(const Kfd&) = delete;

  int open();  // ENOENT: no KFD; EACCES: the user is not in the node's group
  int version(Version& version);
  // One entry for each GPU of the process.
  int apertures(std::vector<kfd_process_device_apertures>& apertures);
  // Makes the open render node's VM the process's VM on this GPU. Must come before all other requests for the GPU.
  int acquire_vm(std::uint32_t gpu, int render_node);

  // kfd_ioctl_set_xnack_mode(). set_xnack: EBUSY while the process has queues, EPERM if one of its GPUs cannot do the mode.
  int xnack(Xnack& mode);
  int set_xnack(Xnack mode);

  // svm_ioctl(), for whole pages. EINVAL: unknown attribute or GPU, or unaligned addresses. ENOMEM, EPERM: see
  // svm_range_set_attr(). get_attributes writes the values that hold for all the pages.
  int set_attributes(std::uintptr_t address, std::size_t bytes, std::span<const kfd_ioctl_svm_attribute> attributes);
  int get_attributes(std::uintptr_t address, std::size_t bytes, std::span<kfd_ioctl_svm_attribute> attributes);

  // Memory in GTT, which CPU and GPU reach, at the GPU address `address`; the CPU maps it with mmap() of the acquired render
  // node at `offset`. EADDRINUSE: an SVM range is there.
  struct Memory {
    std::uint64_t handle = 0;
    std::uint64_t offset = 0;
  };
  int allocate(std::uint32_t gpu, std::uintptr_t address, std::size_t bytes, Memory& memory);
  int map_to_gpu(std::uint32_t gpu, std::uint64_t handle);
  int unmap_from_gpu(std::uint32_t gpu, std::uint64_t handle);
  int free(std::uint64_t handle);

  // kfd_ioctl_create_queue(): a queue of an SDMA engine. Its ring, and its read and write pointers, are memory of allocate()
  // that CPU and GPU have at the same address. ENOMEM: no queue is left.
  int create_sdma_queue(std::uint32_t gpu, std::uintptr_t ring, std::uint32_t ring_bytes, std::uintptr_t read_pointer,
                        std::uintptr_t write_pointer, std::uint32_t& queue, std::uint64_t& doorbell);
  int destroy_queue(std::uint32_t queue);
  // The page of doorbells of this process, which create_sdma_queue()'s `doorbell` names, and the doorbell in it. MAP_FAILED
  // with errno; the caller unmaps doorbell_bytes.
  static constexpr std::size_t doorbell_bytes = 8192;  // kfd_doorbell_process_slice(), of 8-byte doorbells (gfx9)
  void* map_doorbells(std::uint64_t doorbell);

  // Opens a non-blocking descriptor for this process's events in `mask` (bits KFD_SMI_EVENT_MASK_FROM_INDEX). The caller
  // closes it.
  int open_events(std::uint32_t gpu, std::uint64_t mask, int& descriptor);

 private:
  int request(unsigned long number, void* argument);
  int svm(std::uint32_t op, std::uintptr_t address, std::size_t bytes, std::vector<std::byte>& message,
          std::span<const kfd_ioctl_svm_attribute> attributes);

  Kernel& kernel_;
  int fd_ = -1;
};

}  // namespace faultline::kfd
