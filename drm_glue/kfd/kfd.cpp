#include "drm_glue/kfd/kfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

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

int Kfd::allocate(std::uint32_t gpu, std::uintptr_t address, std::size_t bytes, Memory& memory) {
  kfd_ioctl_alloc_memory_of_gpu_args args{};
  args.va_addr = address;
  args.size = bytes;
  args.gpu_id = gpu;
  args.flags = KFD_IOC_ALLOC_MEM_FLAGS_GTT | KFD_IOC_ALLOC_MEM_FLAGS_WRITABLE | KFD_IOC_ALLOC_MEM_FLAGS_EXECUTABLE |
               KFD_IOC_ALLOC_MEM_FLAGS_NO_SUBSTITUTE | KFD_IOC_ALLOC_MEM_FLAGS_COHERENT;
  const int error = request(AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, &args);
  if (error == 0) memory = {args.handle, args.mmap_offset};
  return error;
}

int Kfd::map_to_gpu(std::uint32_t gpu, std::uint64_t handle) {
  kfd_ioctl_map_memory_to_gpu_args args{};
  args.handle = handle;
  args.device_ids_array_ptr = reinterpret_cast<std::uintptr_t>(&gpu);
  args.n_devices = 1;
  return request(AMDKFD_IOC_MAP_MEMORY_TO_GPU, &args);
}

int Kfd::unmap_from_gpu(std::uint32_t gpu, std::uint64_t handle) {
  kfd_ioctl_unmap_memory_from_gpu_args args{};
  args.handle = handle;
  args.device_ids_array_ptr = reinterpret_cast<std::uintptr_t>(&gpu);
  args.n_devices = 1;
  return request(AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU, &args);
}

int Kfd::free(std::uint64_t handle) {
  kfd_ioctl_free_memory_of_gpu_args args{.handle = handle};
  return request(AMDKFD_IOC_FREE_MEMORY_OF_GPU, &args);
}

int Kfd::create_sdma_queue(std::uint32_t gpu, std::uintptr_t ring, std::uint32_t ring_bytes, std::uintptr_t read_pointer,
                           std::uintptr_t write_pointer, std::uint32_t& queue, std::uint64_t& doorbell) {
  kfd_ioctl_create_queue_args args{};
  args.ring_base_address = ring;
  args.ring_size = ring_bytes;
  args.read_pointer_address = read_pointer;
  args.write_pointer_address = write_pointer;
  args.gpu_id = gpu;
  args.queue_type = KFD_IOC_QUEUE_TYPE_SDMA;
  args.queue_percentage = KFD_MAX_QUEUE_PERCENTAGE;
  args.queue_priority = KFD_MAX_QUEUE_PRIORITY / 2;
  if (const int error = request(AMDKFD_IOC_CREATE_QUEUE, &args)) return error;
  queue = args.queue_id;
  doorbell = args.doorbell_offset;
  return 0;
}

int Kfd::destroy_queue(std::uint32_t queue) {
  kfd_ioctl_destroy_queue_args args{.queue_id = queue};
  return request(AMDKFD_IOC_DESTROY_QUEUE, &args);
}

void* Kfd::map_doorbells(std::uint64_t doorbell) {
  return kernel_.mmap(nullptr, doorbell_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_,
                      static_cast<off_t>(doorbell & ~std::uint64_t{doorbell_bytes - 1}));
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
