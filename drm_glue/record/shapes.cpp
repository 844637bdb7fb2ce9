#include "drm_glue/record/shapes.h"

#include <linux/kfd_ioctl.h>
// A header has a member named `class`.
#define class class_
#include <amdgpu_drm.h>
#include <drm.h>
#include <nouveau_drm.h>
#undef class

#include <cstddef>

namespace faultline::record {
namespace {

constexpr Shape flat{};

constexpr Pointer version_texts[] = {{offsetof(drm_version, name), offsetof(drm_version, name_len), 8, 1, true},
                                     {offsetof(drm_version, date), offsetof(drm_version, date_len), 8, 1, true},
                                     {offsetof(drm_version, desc), offsetof(drm_version, desc_len), 8, 1, true}};
constexpr Shape version{version_texts};
constexpr Pointer unique_text[] = {{offsetof(drm_unique, unique), offsetof(drm_unique, unique_len), 8, 1, true}};
constexpr Shape unique{unique_text};
constexpr LooseField prime_descriptor[] = {{offsetof(drm_prime_handle, fd), 4, Loose::descriptor}};
constexpr Shape prime{{}, prime_descriptor};
constexpr Pointer waited_handles[] = {{offsetof(drm_syncobj_wait, handles), offsetof(drm_syncobj_wait, count_handles), 4, 4}};
constexpr LooseField syncobj_timeout[] = {{offsetof(drm_syncobj_wait, timeout_nsec), 8, Loose::time}};
constexpr Shape syncobj_wait{waited_handles, syncobj_timeout};

constexpr LooseField userptr_address[] = {{offsetof(drm_amdgpu_gem_userptr, addr), 8, Loose::address}};
constexpr Shape userptr{{}, userptr_address};
constexpr Pointer list_entries[] = {{offsetof(drm_amdgpu_bo_list_in, bo_info_ptr), offsetof(drm_amdgpu_bo_list_in, bo_number), 4,
                                     sizeof(drm_amdgpu_bo_list_entry)}};
constexpr Shape bo_list{list_entries};
constexpr Pointer info_answer[] = {
    {offsetof(drm_amdgpu_info, return_pointer), offsetof(drm_amdgpu_info, return_size), 4, 1, true}};
constexpr Shape info{info_answer};
constexpr Pointer fences_array[] = {
    {offsetof(drm_amdgpu_wait_fences_in, fences), offsetof(drm_amdgpu_wait_fences_in, fence_count), 4, sizeof(drm_amdgpu_fence)}};
constexpr LooseField fences_timeout[] = {{offsetof(drm_amdgpu_wait_fences_in, timeout_ns), 8, Loose::time}};
constexpr Shape wait_fences{fences_array, fences_timeout};
constexpr LooseField cs_timeout[] = {{offsetof(drm_amdgpu_wait_cs_in, timeout), 8, Loose::time}};
constexpr Shape wait_cs{{}, cs_timeout};
constexpr LooseField idle_timeout[] = {{offsetof(drm_amdgpu_gem_wait_idle_in, timeout), 8, Loose::time}};
constexpr Shape wait_idle{{}, idle_timeout};
// An array of pointers to chunks. Each chunk has a pointer to its words.
constexpr Pointer chunk_words[] = {{offsetof(drm_amdgpu_cs_chunk, chunk_data), offsetof(drm_amdgpu_cs_chunk, length_dw), 4, 4}};
constexpr Shape chunk{chunk_words};
constexpr Pointer to_chunk[] = {{0, 0, 0, sizeof(drm_amdgpu_cs_chunk), false, &chunk}};
constexpr Shape chunk_pointer{to_chunk};
constexpr Pointer all_chunks[] = {
    {offsetof(drm_amdgpu_cs_in, chunks), offsetof(drm_amdgpu_cs_in, num_chunks), 4, 8, false, &chunk_pointer}};
constexpr Shape cs{all_chunks};

constexpr LooseField unmanaged_address[] = {{offsetof(drm_nouveau_svm_init, unmanaged_addr), 8, Loose::address}};
constexpr Shape svm_init{{}, unmanaged_address};
constexpr LooseField bound_addresses[] = {{offsetof(drm_nouveau_svm_bind, va_start), 8, Loose::address},
                                          {offsetof(drm_nouveau_svm_bind, va_end), 8, Loose::address}};
constexpr Shape svm_bind{{}, bound_addresses};

constexpr Pointer aperture_array[] = {{offsetof(kfd_ioctl_get_process_apertures_new_args, kfd_process_device_apertures_ptr),
                                       offsetof(kfd_ioctl_get_process_apertures_new_args, num_of_nodes), 4,
                                       sizeof(kfd_process_device_apertures), true}};
constexpr Shape apertures{aperture_array};
constexpr LooseField vm_descriptor[] = {{offsetof(kfd_ioctl_acquire_vm_args, drm_fd), 4, Loose::descriptor}};
constexpr Shape acquire_vm{{}, vm_descriptor};
constexpr LooseField memory_address[] = {{offsetof(kfd_ioctl_alloc_memory_of_gpu_args, va_addr), 8, Loose::address}};
constexpr Shape alloc_memory{{}, memory_address};
constexpr Pointer mapping_gpus[] = {{offsetof(kfd_ioctl_map_memory_to_gpu_args, device_ids_array_ptr),
                                     offsetof(kfd_ioctl_map_memory_to_gpu_args, n_devices), 4, 4}};
constexpr Shape map_memory{mapping_gpus};
constexpr LooseField events_descriptor[] = {{offsetof(kfd_ioctl_smi_events_args, anon_fd), 4, Loose::descriptor}};
constexpr Shape smi_events{{}, events_descriptor};
constexpr LooseField svm_address[] = {{offsetof(kfd_ioctl_svm_args, start_addr), 8, Loose::address}};
constexpr Shape svm{{}, svm_address};

struct Row {
  unsigned number;
  std::string_view name;
  const Shape* shape = nullptr;
};

constexpr Row core[] = {{0x00, "DRM_IOCTL_VERSION", &version},
                        {0x01, "DRM_IOCTL_GET_UNIQUE", &unique},
                        {0x02, "DRM_IOCTL_GET_MAGIC", &flat},
                        {0x05, "DRM_IOCTL_GET_CLIENT", &flat},
                        {0x07, "DRM_IOCTL_SET_VERSION", &flat},
                        {0x09, "DRM_IOCTL_GEM_CLOSE", &flat},
                        {0x0a, "DRM_IOCTL_GEM_FLINK", &flat},
                        {0x0b, "DRM_IOCTL_GEM_OPEN", &flat},
                        {0x0c, "DRM_IOCTL_GET_CAP", &flat},
                        {0x0d, "DRM_IOCTL_SET_CLIENT_CAP", &flat},
                        {0x11, "DRM_IOCTL_AUTH_MAGIC", &flat},
                        {0x1e, "DRM_IOCTL_SET_MASTER", &flat},
                        {0x1f, "DRM_IOCTL_DROP_MASTER", &flat},
                        {0x2d, "DRM_IOCTL_PRIME_HANDLE_TO_FD", &prime},
                        {0x2e, "DRM_IOCTL_PRIME_FD_TO_HANDLE", &prime},
                        {0xa0, "DRM_IOCTL_MODE_GETRESOURCES"},
                        {0xbf, "DRM_IOCTL_SYNCOBJ_CREATE", &flat},
                        {0xc0, "DRM_IOCTL_SYNCOBJ_DESTROY", &flat},
                        {0xc1, "DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD"},
                        {0xc2, "DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE"},
                        {0xc3, "DRM_IOCTL_SYNCOBJ_WAIT", &syncobj_wait},
                        {0xc4, "DRM_IOCTL_SYNCOBJ_RESET"},
                        {0xc5, "DRM_IOCTL_SYNCOBJ_SIGNAL"},
                        {0xca, "DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT"},
                        {0xcb, "DRM_IOCTL_SYNCOBJ_QUERY"},
                        {0xcc, "DRM_IOCTL_SYNCOBJ_TRANSFER", &flat},
                        {0xcd, "DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL"}};

// Numbers of this table and the next count from DRM_COMMAND_BASE.
constexpr Row amdgpu[] = {{DRM_AMDGPU_GEM_CREATE, "DRM_IOCTL_AMDGPU_GEM_CREATE", &flat},
                          {DRM_AMDGPU_GEM_MMAP, "DRM_IOCTL_AMDGPU_GEM_MMAP", &flat},
                          {DRM_AMDGPU_CTX, "DRM_IOCTL_AMDGPU_CTX", &flat},
                          {DRM_AMDGPU_BO_LIST, "DRM_IOCTL_AMDGPU_BO_LIST", &bo_list},
                          {DRM_AMDGPU_CS, "DRM_IOCTL_AMDGPU_CS", &cs},
                          {DRM_AMDGPU_INFO, "DRM_IOCTL_AMDGPU_INFO", &info},
                          {DRM_AMDGPU_GEM_METADATA, "DRM_IOCTL_AMDGPU_GEM_METADATA", &flat},
                          {DRM_AMDGPU_GEM_WAIT_IDLE, "DRM_IOCTL_AMDGPU_GEM_WAIT_IDLE", &wait_idle},
                          {DRM_AMDGPU_GEM_VA, "DRM_IOCTL_AMDGPU_GEM_VA", &flat},
                          {DRM_AMDGPU_WAIT_CS, "DRM_IOCTL_AMDGPU_WAIT_CS", &wait_cs},
                          {DRM_AMDGPU_GEM_OP, "DRM_IOCTL_AMDGPU_GEM_OP"},
                          {DRM_AMDGPU_GEM_USERPTR, "DRM_IOCTL_AMDGPU_GEM_USERPTR", &userptr},
                          {DRM_AMDGPU_WAIT_FENCES, "DRM_IOCTL_AMDGPU_WAIT_FENCES", &wait_fences},
                          {DRM_AMDGPU_VM, "DRM_IOCTL_AMDGPU_VM", &flat},
                          {DRM_AMDGPU_FENCE_TO_HANDLE, "DRM_IOCTL_AMDGPU_FENCE_TO_HANDLE"},
                          {DRM_AMDGPU_SCHED, "DRM_IOCTL_AMDGPU_SCHED"}};

constexpr Row nouveau[] = {{DRM_NOUVEAU_GETPARAM, "DRM_IOCTL_NOUVEAU_GETPARAM", &flat},
                           {0x02, "DRM_IOCTL_NOUVEAU_CHANNEL_ALLOC", &flat},
                           {0x03, "DRM_IOCTL_NOUVEAU_CHANNEL_FREE", &flat},
                           {DRM_NOUVEAU_NVIF, "DRM_IOCTL_NOUVEAU_NVIF"},
                           {DRM_NOUVEAU_SVM_INIT, "DRM_IOCTL_NOUVEAU_SVM_INIT", &svm_init},
                           {DRM_NOUVEAU_SVM_BIND, "DRM_IOCTL_NOUVEAU_SVM_BIND", &svm_bind},
                           {0x10, "DRM_IOCTL_NOUVEAU_VM_INIT"},
                           {0x11, "DRM_IOCTL_NOUVEAU_VM_BIND"},
                           {0x12, "DRM_IOCTL_NOUVEAU_EXEC"},
                           {DRM_NOUVEAU_GEM_NEW, "DRM_IOCTL_NOUVEAU_GEM_NEW", &flat},
                           {DRM_NOUVEAU_GEM_PUSHBUF, "DRM_IOCTL_NOUVEAU_GEM_PUSHBUF"},
                           {DRM_NOUVEAU_GEM_CPU_PREP, "DRM_IOCTL_NOUVEAU_GEM_CPU_PREP", &flat},
                           {DRM_NOUVEAU_GEM_CPU_FINI, "DRM_IOCTL_NOUVEAU_GEM_CPU_FINI", &flat},
                           {DRM_NOUVEAU_GEM_INFO, "DRM_IOCTL_NOUVEAU_GEM_INFO", &flat}};

constexpr Row kfd[] = {{0x01, "AMDKFD_IOC_GET_VERSION", &flat},
                       {0x02, "AMDKFD_IOC_CREATE_QUEUE"},
                       {0x03, "AMDKFD_IOC_DESTROY_QUEUE", &flat},
                       {0x04, "AMDKFD_IOC_SET_MEMORY_POLICY"},
                       {0x05, "AMDKFD_IOC_GET_CLOCK_COUNTERS", &flat},
                       {0x06, "AMDKFD_IOC_GET_PROCESS_APERTURES", &flat},
                       {0x07, "AMDKFD_IOC_UPDATE_QUEUE"},
                       {0x08, "AMDKFD_IOC_CREATE_EVENT", &flat},
                       {0x09, "AMDKFD_IOC_DESTROY_EVENT", &flat},
                       {0x0a, "AMDKFD_IOC_SET_EVENT", &flat},
                       {0x0b, "AMDKFD_IOC_RESET_EVENT", &flat},
                       {0x0c, "AMDKFD_IOC_WAIT_EVENTS"},
                       {0x11, "AMDKFD_IOC_SET_SCRATCH_BACKING_VA"},
                       {0x12, "AMDKFD_IOC_GET_TILE_CONFIG"},
                       {0x13, "AMDKFD_IOC_SET_TRAP_HANDLER"},
                       {0x14, "AMDKFD_IOC_GET_PROCESS_APERTURES_NEW", &apertures},
                       {0x15, "AMDKFD_IOC_ACQUIRE_VM", &acquire_vm},
                       {0x16, "AMDKFD_IOC_ALLOC_MEMORY_OF_GPU", &alloc_memory},
                       {0x17, "AMDKFD_IOC_FREE_MEMORY_OF_GPU", &flat},
                       {0x18, "AMDKFD_IOC_MAP_MEMORY_TO_GPU", &map_memory},
                       {0x19, "AMDKFD_IOC_UNMAP_MEMORY_FROM_GPU", &map_memory},
                       {0x1a, "AMDKFD_IOC_SET_CU_MASK"},
                       {0x1b, "AMDKFD_IOC_GET_QUEUE_WAVE_STATE"},
                       {0x1c, "AMDKFD_IOC_GET_DMABUF_INFO"},
                       {0x1d, "AMDKFD_IOC_IMPORT_DMABUF"},
                       {0x1e, "AMDKFD_IOC_ALLOC_QUEUE_GWS", &flat},
                       {0x1f, "AMDKFD_IOC_SMI_EVENTS", &smi_events},
                       {0x20, "AMDKFD_IOC_SVM", &svm},
                       {0x21, "AMDKFD_IOC_SET_XNACK_MODE", &flat},
                       {0x22, "AMDKFD_IOC_CRIU_OP"},
                       {0x23, "AMDKFD_IOC_AVAILABLE_MEMORY", &flat}};

Known find(std::span<const Row> rows, unsigned number) {
  for (const Row& row : rows)
    if (row.number == number) return {row.name, row.shape};
  return {};
}

}  // namespace

Known look_up(std::string_view driver, std::uint32_t request) {
  const unsigned type = request >> 8 & 0xff, number = request & 0xff;
  if (driver == "kfd") return type == AMDKFD_IOCTL_BASE ? find(kfd, number) : Known{};
  if (type != DRM_IOCTL_BASE) return {};
  if (number < DRM_COMMAND_BASE || number >= DRM_COMMAND_END) return find(core, number);
  if (driver == "amdgpu") return find(amdgpu, number - DRM_COMMAND_BASE);
  if (driver == "nouveau") return find(nouveau, number - DRM_COMMAND_BASE);
  return {};
}

}  // namespace faultline::record
