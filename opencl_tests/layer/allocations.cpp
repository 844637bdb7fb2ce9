#include "opencl_tests/layer/allocations.h"

#include <map>
#include <mutex>

namespace faultline::layer {
namespace {

std::mutex mutex;
std::map<std::byte*, Allocation> alive;

void* CL_API_CALL alloc(cl_context context, cl_svm_mem_flags flags, std::size_t size, cl_uint alignment) {
  void* pointer = next.clSVMAlloc(context, flags, size, alignment);
  const std::lock_guard lock(mutex);
  auto* start = static_cast<std::byte*>(pointer);
  if (start) alive[start] = {start, size, flags};
  return pointer;
}

void forget(void* pointer) {
  const std::lock_guard lock(mutex);
  alive.erase(static_cast<std::byte*>(pointer));
}

void CL_API_CALL free(cl_context context, void* pointer) {
  forget(pointer);
  next.clSVMFree(context, pointer);
}

cl_int CL_API_CALL enqueue_free(cl_command_queue queue, cl_uint count, void* pointers[],
                                void(CL_CALLBACK* callback)(cl_command_queue, cl_uint, void*[], void*), void* data, cl_uint waits,
                                const cl_event* list, cl_event* event) {
  const cl_int code = next.clEnqueueSVMFree(queue, count, pointers, callback, data, waits, list, event);
  if (code == CL_SUCCESS && !callback)
    for (cl_uint i = 0; i < count; ++i) forget(pointers[i]);
  return code;
}

}  // namespace

void track_allocations(cl_icd_dispatch& table) {
  table.clSVMAlloc = alloc;
  table.clSVMFree = free;
  table.clEnqueueSVMFree = enqueue_free;
}

std::optional<Allocation> allocation_of(const void* address) {
  auto* at = static_cast<std::byte*>(const_cast<void*>(address));
  const std::lock_guard lock(mutex);
  auto after = alive.upper_bound(at);
  if (after == alive.begin()) return std::nullopt;
  const Allocation& found = std::prev(after)->second;
  if (at >= found.start + found.size) return std::nullopt;
  return found;
}

}  // namespace faultline::layer
