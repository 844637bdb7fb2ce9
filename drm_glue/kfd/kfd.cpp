#include "drm_glue/kfd/kfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>

namespace faultline::kfd {

Kfd::~Kfd() {
  if (fd_ >= 0) kernel_.close(fd_);
}

int Kfd::open() {
  do fd_ = kernel_.open("/dev/kfd", O_RDWR);
  while (fd_ < 0 && errno == EINTR);
  return fd_ < 0 ? errno : 0;
}

int Kfd::request(unsigned long number, void* argument) {
  // After a signal, KFD also returns EAGAIN (kfd_ioctl_alloc_memory_of_gpu and others).
  for (int again = 0;; ++again) {
    if (kernel_.ioctl(fd_, number, argument) >= 0) return 0;
    constexpr int patience = 1000;
    if ((errno != EINTR && errno != EAGAIN) || again == patience) return errno;
  }
}

int Kfd::version(Version& version) {
  kfd_ioctl_get_version_args args{};
  const int error = request(AMDKFD_IOC_GET_VERSION, &args);
  if (error == 0) version = {args.major_version, args.minor_version};
  return error;
}

int Kfd::apertures(std::vector<kfd_process_device_apertures>& apertures) {
  // With room for none, KFD returns only the number. It may change before the second request, by hotplug.
  kfd_ioctl_get_process_apertures_new_args args{};
  if (const int error = request(AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &args)) return error;
  apertures.assign(args.num_of_nodes, {});
  if (apertures.empty()) return 0;
  args.kfd_process_device_apertures_ptr = reinterpret_cast<std::uintptr_t>(apertures.data());
  const int error = request(AMDKFD_IOC_GET_PROCESS_APERTURES_NEW, &args);
  apertures.resize(error == 0 ? std::min<std::size_t>(args.num_of_nodes, apertures.size()) : 0);
  return error;
}

int Kfd::acquire_vm(std::uint32_t gpu, int render_node) {
  kfd_ioctl_acquire_vm_args args{.drm_fd = static_cast<std::uint32_t>(render_node), .gpu_id = gpu};
  return request(AMDKFD_IOC_ACQUIRE_VM, &args);
}

int Kfd::xnack(Xnack& mode) {
  kfd_ioctl_set_xnack_mode_args args{.xnack_enabled = -1};
  const int error = request(AMDKFD_IOC_SET_XNACK_MODE, &args);
  if (error == 0) mode = args.xnack_enabled > 0 ? Xnack::on : Xnack::off;
  return error;
}

int Kfd::set_xnack(Xnack mode) {
  kfd_ioctl_set_xnack_mode_args args{.xnack_enabled = mode == Xnack::on};
  return request(AMDKFD_IOC_SET_XNACK_MODE, &args);
}

// The attributes follow the arguments in memory, and the size field of the request number includes them.
int Kfd::svm(std::uint32_t op, std::uintptr_t address, std::size_t bytes, std::vector<std::byte>& message,
             std::span<const kfd_ioctl_svm_attribute> attributes) {
  kfd_ioctl_svm_args args{};
  args.start_addr = address;
  args.size = bytes;
  args.op = op;
  args.nattr = static_cast<std::uint32_t>(attributes.size());
  if (sizeof args + attributes.size_bytes() > _IOC_SIZEMASK) return E2BIG;
  message.resize(sizeof args + attributes.size_bytes());
  std::memcpy(message.data(), &args, sizeof args);
  std::memcpy(message.data() + sizeof args, attributes.data(), attributes.size_bytes());
  return request(AMDKFD_IOC_SVM + (static_cast<unsigned long>(attributes.size_bytes()) << _IOC_SIZESHIFT), message.data());
}

int Kfd::set_attributes(std::uintptr_t address, std::size_t bytes, std::span<const kfd_ioctl_svm_attribute> attributes) {
  std::vector<std::byte> message;
  return svm(KFD_IOCTL_SVM_OP_SET_ATTR, address, bytes, message, attributes);
}

int Kfd::get_attributes(std::uintptr_t address, std::size_t bytes, std::span<kfd_ioctl_svm_attribute> attributes) {
  std::vector<std::byte> message;
  const int error = svm(KFD_IOCTL_SVM_OP_GET_ATTR, address, bytes, message, attributes);
  if (error == 0) std::memcpy(attributes.data(), message.data() + sizeof(kfd_ioctl_svm_args), attributes.size_bytes());
  return error;
}

int Kfd::open_events(std::uint32_t gpu, std::uint64_t mask, int& descriptor) {
  kfd_ioctl_smi_events_args args{.gpuid = gpu};
  if (const int error = request(AMDKFD_IOC_SMI_EVENTS, &args)) return error;
  descriptor = static_cast<int>(args.anon_fd);
  ssize_t wrote;
  do wrote = kernel_.write(descriptor, &mask, sizeof mask);
  while (wrote < 0 && errno == EINTR);
  if (wrote == sizeof mask) return 0;
  const int error = wrote < 0 ? errno : EIO;
  kernel_.close(descriptor);
  return error;
}

}  // namespace faultline::kfd
