// /dev/kfd, the door to amdgpu's compute driver (include/uapi/linux/kfd_ioctl.h): SVM ranges and their attributes,
// XNACK, and the events of the system management interface.
//
// One open descriptor; the kernel allows one process structure for each mm, which fork() does not share (a child's
// requests through an inherited descriptor are EBADF). Requests give an errno, 0 for success; those that a signal
// interrupts are made again.
#pragma once

#include <linux/kfd_ioctl.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "drm_glue/kernel.h"

namespace faultline::kfd {

// The ABI as every kernel since v5.14 has it: a header that differs is not one of Linux.
static_assert(sizeof(kfd_ioctl_get_version_args) == 8);
static_assert(sizeof(kfd_process_device_apertures) == 56 && offsetof(kfd_process_device_apertures, gpu_id) == 48);
static_assert(sizeof(kfd_ioctl_get_process_apertures_new_args) == 16 &&
              offsetof(kfd_ioctl_get_process_apertures_new_args, num_of_nodes) == 8);
static_assert(sizeof(kfd_ioctl_acquire_vm_args) == 8 && offsetof(kfd_ioctl_acquire_vm_args, gpu_id) == 4);
static_assert(sizeof(kfd_ioctl_smi_events_args) == 8 && offsetof(kfd_ioctl_smi_events_args, anon_fd) == 4);
static_assert(sizeof(kfd_ioctl_svm_attribute) == 8 && sizeof(kfd_ioctl_svm_args) == 24 &&
              offsetof(kfd_ioctl_svm_args, op) == 16 && offsetof(kfd_ioctl_svm_args, nattr) == 20);
static_assert(sizeof(kfd_ioctl_set_xnack_mode_args) == 4);
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
inline constexpr Version with_migration_events{1, 10};  // those of migrations, page faults and queues

enum class Xnack { off, on };

class Kfd {
 public:
  explicit Kfd(Kernel& kernel = real_kernel()) : kernel_(kernel) {}
  ~Kfd();
  Kfd(const Kfd&) = delete;
  Kfd& operator=(const Kfd&) = delete;

  int open();  // ENOENT: no KFD; EACCES: see the node's group
  int version(Version& version);
  // Of the process's GPUs, all that there are.
  int apertures(std::vector<kfd_process_device_apertures>& apertures);
  // The VM of an open render node becomes the process's on that GPU; before anything else is asked of the GPU.
  int acquire_vm(std::uint32_t gpu, int render_node);

  // kfd_ioctl_set_xnack_mode(). set: EBUSY while the process has queues, EPERM where a GPU of it cannot.
  int xnack(Xnack& mode);
  int set_xnack(Xnack mode);

  // svm_ioctl(), of whole pages. EINVAL: an attribute or a GPU that the kernel does not know, or addresses that are
  // not of pages. ENOMEM, EPERM: see svm_range_set_attr(). get: writes to the attributes what holds for all pages.
  int set_attributes(std::uintptr_t address, std::size_t bytes, std::span<const kfd_ioctl_svm_attribute> attributes);
  int get_attributes(std::uintptr_t address, std::size_t bytes, std::span<kfd_ioctl_svm_attribute> attributes);

  // A descriptor that gives the events of `mask` (bits KFD_SMI_EVENT_MASK_FROM_INDEX) of this process, and does not
  // block. The caller closes it.
  int open_events(std::uint32_t gpu, std::uint64_t mask, int& descriptor);

 private:
  int request(unsigned long number, void* argument);
  int svm(std::uint32_t op, std::uintptr_t address, std::size_t bytes, std::vector<std::byte>& message,
          std::span<const kfd_ioctl_svm_attribute> attributes);

  Kernel& kernel_;
  int fd_ = -1;
};

}  // namespace faultline::kfd
