// Faults of maps, copies, fills and migrations: wrong memory contents.
#include <cstdlib>
#include <map>
#include <mutex>

#include "opencl_tests/layer/allocations.h"

namespace faultline::layer {
namespace {

constexpr std::size_t page = 4096;

std::mutex mutex;

// The old contents of a mapped region.
struct Saved {
  void* bytes;
  std::size_t size;
};
std::multimap<void*, Saved> saved;

void CL_CALLBACK drop(cl_event, cl_int, void* bytes) { std::free(bytes); }

Saved save_for(void* pointer, std::size_t size) {
  const Saved each{std::malloc(size), size};
  const std::lock_guard lock(mutex);
  saved.emplace(pointer, each);
  return each;
}

// lost-unmap: the host's stores into a mapping are lost at the unmap.
cl_int CL_API_CALL map_saving(cl_command_queue queue, cl_bool blocking, cl_map_flags flags, void* pointer, std::size_t size,
                              cl_uint count, const cl_event* list, cl_event* event) {
  if (!pointer || !size) return next.clEnqueueSVMMap(queue, blocking, flags, pointer, size, count, list, event);
  cl_event copied = nullptr;
  const cl_int code =
      next.clEnqueueSVMMemcpy(queue, CL_FALSE, save_for(pointer, size).bytes, pointer, size, count, list, &copied);
  if (code != CL_SUCCESS) return code;
  return next.clEnqueueSVMMap(queue, blocking, flags, pointer, size, 1, &copied, event);
}

// Restores the contents that were saved at the map, if any, and then unmaps.
template <typename Unmap>
cl_int restore(cl_command_queue queue, void* pointer, cl_uint count, const cl_event* list, Unmap unmap) {
  const std::lock_guard lock(mutex);
  const auto found = saved.find(pointer);
  if (found == saved.end()) return unmap(count, list);
  const Saved each = found->second;
  saved.erase(found);
  cl_event copied = nullptr;
  const cl_int code = next.clEnqueueSVMMemcpy(queue, CL_FALSE, pointer, each.bytes, each.size, count, list, &copied);
  if (code != CL_SUCCESS) return code;
  next.clSetEventCallback(copied, CL_COMPLETE, drop, each.bytes);
  return unmap(1, &copied);
}

cl_int CL_API_CALL unmap_restoring(cl_command_queue queue, void* pointer, cl_uint count, const cl_event* list, cl_event* event) {
  return restore(queue, pointer, count, list, [=](cl_uint waits, const cl_event* events) {
    return next.clEnqueueSVMUnmap(queue, pointer, waits, events, event);
  });
}

void* CL_API_CALL map_buffer_saving(cl_command_queue queue, cl_mem buffer, cl_bool blocking, cl_map_flags flags,
                                    std::size_t offset, std::size_t size, cl_uint count, const cl_event* list, cl_event* event,
                                    cl_int* code) {
  void* bytes = std::malloc(size);
  cl_event copied = nullptr;
  if (next.clEnqueueReadBuffer(queue, buffer, CL_FALSE, offset, size, bytes, count, list, &copied) != CL_SUCCESS)
    return next.clEnqueueMapBuffer(queue, buffer, blocking, flags, offset, size, count, list, event, code);
  void* pointer = next.clEnqueueMapBuffer(queue, buffer, blocking, flags, offset, size, 1, &copied, event, code);
  const std::lock_guard lock(mutex);
  saved.emplace(pointer, Saved{bytes, size});
  return pointer;
}

cl_int CL_API_CALL unmap_buffer_restoring(cl_command_queue queue, cl_mem buffer, void* pointer, cl_uint count,
                                          const cl_event* list, cl_event* event) {
  return restore(queue, pointer, count, list, [=](cl_uint waits, const cl_event* events) {
    return next.clEnqueueUnmapMemObject(queue, buffer, pointer, waits, events, event);
  });
}

// stale-map: a mapping shows the host's last contents, not what commands have stored since.
std::map<std::byte*, std::vector<std::byte>> host_views;  // by allocation

std::byte* host_view(const Allocation& allocation) {
  const std::lock_guard lock(mutex);
  auto& view = host_views[allocation.start];
  if (view.size() != allocation.size) view.assign(allocation.size, std::byte{0});
  return view.data();
}

cl_int CL_API_CALL map_stale(cl_command_queue queue, cl_bool blocking, cl_map_flags flags, void* pointer, std::size_t size,
                             cl_uint count, const cl_event* list, cl_event* event) {
  const auto allocation = allocation_of(pointer);
  if (!allocation) return next.clEnqueueSVMMap(queue, blocking, flags, pointer, size, count, list, event);
  const std::byte* view = host_view(*allocation) + (static_cast<std::byte*>(pointer) - allocation->start);
  cl_event copied = nullptr;
  const cl_int code = next.clEnqueueSVMMemcpy(queue, CL_FALSE, pointer, view, size, count, list, &copied);
  if (code != CL_SUCCESS) return code;
  return next.clEnqueueSVMMap(queue, blocking, flags, pointer, size, 1, &copied, event);
}

cl_int CL_API_CALL unmap_noting(cl_command_queue queue, void* pointer, cl_uint count, const cl_event* list, cl_event* event) {
  const auto allocation = allocation_of(pointer);
  if (!allocation) return next.clEnqueueSVMUnmap(queue, pointer, count, list, event);
  cl_event copied = nullptr;
  const cl_int code =
      next.clEnqueueSVMMemcpy(queue, CL_FALSE, host_view(*allocation), allocation->start, allocation->size, count, list, &copied);
  if (code != CL_SUCCESS) return code;
  return next.clEnqueueSVMUnmap(queue, pointer, 1, &copied, event);
}

// short-memcpy, short-fill: if the range is larger than a page, a page in the middle is left out.
cl_int CL_API_CALL memcpy_short(cl_command_queue queue, cl_bool blocking, void* to, const void* from, std::size_t size,
                                cl_uint count, const cl_event* list, cl_event* event) {
  if (size <= page) return next.clEnqueueSVMMemcpy(queue, blocking, to, from, size, count, list, event);
  const std::size_t before = size / page / 2 * page, after = std::min(size, before + page);
  cl_event first = nullptr;
  cl_int code = before ? next.clEnqueueSVMMemcpy(queue, CL_FALSE, to, from, before, count, list, &first) : CL_SUCCESS;
  if (code != CL_SUCCESS) return code;
  Waits waits(count, list);
  waits.and_for(first);
  if (after == size) return next.clEnqueueMarkerWithWaitList(queue, waits.count(), waits.data(), event);
  return next.clEnqueueSVMMemcpy(queue, blocking, static_cast<std::byte*>(to) + after,
                                 static_cast<const std::byte*>(from) + after, size - after, waits.count(), waits.data(), event);
}

// lost-host-copies: a copy from memory that is not from clSVMAlloc does nothing.
cl_int CL_API_CALL memcpy_of_allocations(cl_command_queue queue, cl_bool blocking, void* to, const void* from, std::size_t size,
                                         cl_uint count, const cl_event* list, cl_event* event) {
  if (!allocation_of(from)) return next.clEnqueueMarkerWithWaitList(queue, count, list, event);
  return next.clEnqueueSVMMemcpy(queue, blocking, to, from, size, count, list, event);
}

cl_int CL_API_CALL fill_short(cl_command_queue queue, void* to, const void* pattern, std::size_t pattern_size, std::size_t size,
                              cl_uint count, const cl_event* list, cl_event* event) {
  if (size < 3 * page) return next.clEnqueueSVMMemFill(queue, to, pattern, pattern_size, size, count, list, event);
  cl_event first = nullptr;
  const cl_int code = next.clEnqueueSVMMemFill(queue, to, pattern, pattern_size, page, count, list, &first);
  if (code != CL_SUCCESS) return code;
  return next.clEnqueueSVMMemFill(queue, static_cast<std::byte*>(to) + 2 * page, pattern, pattern_size, size - 2 * page, 1,
                                  &first, event);
}

// short-migrate: one page of a migration arrives empty.
cl_int CL_API_CALL migrate_short(cl_command_queue queue, cl_uint number, const void** pointers, const std::size_t* sizes,
                                 cl_mem_migration_flags flags, cl_uint count, const cl_event* list, cl_event* event) {
  Waits waits(count, list);
  for (cl_uint i = 0; i < number && pointers; ++i) {
    const auto allocation = allocation_of(pointers[i]);
    const bool whole = !sizes || !sizes[i];
    if (!allocation || (flags & CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED) || (!whole && sizes[i] < page)) continue;
    const std::byte* start = whole ? allocation->start : static_cast<const std::byte*>(pointers[i]);
    static constexpr char zero = 0;
    cl_event emptied = nullptr;
    if (next.clEnqueueSVMMemFill(queue, const_cast<std::byte*>(start), &zero, 1, page, count, list, &emptied) == CL_SUCCESS)
      waits.and_for(emptied);
  }
  return next.clEnqueueSVMMigrateMem(queue, number, pointers, sizes, flags, waits.count(), waits.data(), event);
}

}  // namespace

const std::vector<Fault> memory_faults = {
    {"lost-unmap", "an unmap does not write back what the host stored",
     [](cl_icd_dispatch& table) {
       table.clEnqueueSVMMap = map_saving;
       table.clEnqueueSVMUnmap = unmap_restoring;
       table.clEnqueueMapBuffer = map_buffer_saving;
       table.clEnqueueUnmapMemObject = unmap_buffer_restoring;
     }},
    {"stale-map", "a map does not fetch what the device stored",
     [](cl_icd_dispatch& table) {
       track_allocations(table);
       table.clEnqueueSVMMap = map_stale;
       table.clEnqueueSVMUnmap = unmap_noting;
     }},
    {"short-memcpy", "a copy leaves a page out", [](cl_icd_dispatch& table) { table.clEnqueueSVMMemcpy = memcpy_short; }},
    {"lost-host-copies", "a copy from memory of the host does nothing",
     [](cl_icd_dispatch& table) {
       track_allocations(table);
       table.clEnqueueSVMMemcpy = memcpy_of_allocations;
     }},
    {"short-fill", "a fill leaves a page out", [](cl_icd_dispatch& table) { table.clEnqueueSVMMemFill = fill_short; }},
    {"short-migrate", "a migration loses a page",
     [](cl_icd_dispatch& table) {
       track_allocations(table);
       table.clEnqueueSVMMigrateMem = migrate_short;
     }},
};

}  // namespace faultline::layer
