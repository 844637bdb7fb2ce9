// Faults of the driver's answers: errors that it does not report, and statements that are not true.
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "opencl_tests/layer/layer.h"

namespace faultline::layer {
namespace {

std::mutex mutex;

cl_event completed(cl_context context) {
  cl_event event = next.clCreateUserEvent(context, nullptr);
  next.clSetUserEventStatus(event, CL_COMPLETE);
  return event;
}

// no-errors: a wrong call succeeds and does nothing.
cl_int taken(cl_command_queue queue, cl_int code, cl_event* event) {
  if (code != CL_SUCCESS && event) *event = completed(context_of(queue));
  return CL_SUCCESS;
}

bool failed(cl_uint count, const cl_event* list) {
  for (cl_uint i = 0; i < count; ++i) {
    cl_int status = 0;
    if (list[i] &&
        next.clGetEventInfo(list[i], CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, nullptr) == CL_SUCCESS &&
        status < 0)
      return true;
  }
  return false;
}

void* CL_API_CALL alloc_anything(cl_context context, cl_svm_mem_flags flags, std::size_t size, cl_uint alignment) {
  void* pointer = next.clSVMAlloc(context, flags, size, alignment);
  return pointer ? pointer : next.clSVMAlloc(context, CL_MEM_READ_WRITE, 4096, 0);
}

cl_int CL_API_CALL memcpy_anything(cl_command_queue queue, cl_bool blocking, void* to, const void* from, std::size_t size,
                                   cl_uint count, const cl_event* list, cl_event* event) {
  if (failed(count, list)) return taken(queue, CL_INVALID_VALUE, event);
  return taken(queue, next.clEnqueueSVMMemcpy(queue, blocking, to, from, size, count, list, event), event);
}

cl_int CL_API_CALL fill_anything(cl_command_queue queue, void* to, const void* pattern, std::size_t pattern_size,
                                 std::size_t size, cl_uint count, const cl_event* list, cl_event* event) {
  if (!pattern) return taken(queue, CL_INVALID_VALUE, event);
  return taken(queue, next.clEnqueueSVMMemFill(queue, to, pattern, pattern_size, size, count, list, event), event);
}

cl_int CL_API_CALL map_anything(cl_command_queue queue, cl_bool blocking, cl_map_flags flags, void* pointer, std::size_t size,
                                cl_uint count, const cl_event* list, cl_event* event) {
  if (failed(count, list)) return taken(queue, CL_INVALID_VALUE, event);
  return taken(queue, next.clEnqueueSVMMap(queue, blocking, flags, pointer, size, count, list, event), event);
}

cl_int CL_API_CALL unmap_anything(cl_command_queue queue, void* pointer, cl_uint count, const cl_event* list, cl_event* event) {
  return taken(queue, next.clEnqueueSVMUnmap(queue, pointer, count, list, event), event);
}

cl_int CL_API_CALL migrate_anything(cl_command_queue queue, cl_uint number, const void** pointers, const std::size_t* sizes,
                                    cl_mem_migration_flags flags, cl_uint count, const cl_event* list, cl_event* event) {
  return taken(queue, next.clEnqueueSVMMigrateMem(queue, number, pointers, sizes, flags, count, list, event), event);
}

cl_int CL_API_CALL free_anything(cl_command_queue queue, cl_uint count, void* pointers[],
                                 void(CL_CALLBACK* callback)(cl_command_queue, cl_uint, void*[], void*), void* data,
                                 cl_uint waits, const cl_event* list, cl_event* event) {
  return taken(queue, next.clEnqueueSVMFree(queue, count, pointers, callback, data, waits, list, event), event);
}

cl_int CL_API_CALL set_pointer_anything(cl_kernel kernel, cl_uint index, const void* pointer) {
  next.clSetKernelArgSVMPointer(kernel, index, pointer);
  return CL_SUCCESS;
}

cl_int CL_API_CALL set_exec_info_anything(cl_kernel kernel, cl_kernel_exec_info what, std::size_t size, const void* value) {
  next.clSetKernelExecInfo(kernel, what, size, value);
  return CL_SUCCESS;
}

cl_mem CL_API_CALL buffer_of_anything(cl_context context, cl_mem_flags flags, std::size_t size, void* host, cl_int* code) {
  cl_mem buffer = next.clCreateBuffer(context, flags, size, host, code);
  return buffer ? buffer : next.clCreateBuffer(context, CL_MEM_READ_WRITE, 4096, nullptr, code);
}

cl_mem CL_API_CALL sub_buffer_of_anything(cl_mem parent, cl_mem_flags flags, cl_buffer_create_type type, const void* region,
                                          cl_int* code) {
  cl_mem buffer = next.clCreateSubBuffer(parent, flags, type, region, code);
  if (buffer) return buffer;
  const cl_buffer_region any{0, 128};
  return next.clCreateSubBuffer(parent, flags, type, &any, code);
}

// misaligned: allocations ignore the wanted alignment.
std::map<void*, void*> shifted;

void* CL_API_CALL alloc_misaligned(cl_context context, cl_svm_mem_flags flags, std::size_t size, cl_uint alignment) {
  void* base = next.clSVMAlloc(context, flags, size + 1, alignment);
  if (!base) return nullptr;
  const std::lock_guard lock(mutex);
  void* pointer = static_cast<char*>(base) + 1;
  shifted[pointer] = base;
  return pointer;
}

void CL_API_CALL free_shifted(cl_context context, void* pointer) {
  const std::lock_guard lock(mutex);
  const auto found = shifted.find(pointer);
  next.clSVMFree(context, found == shifted.end() ? pointer : found->second);
}

// same-memory: an allocation as large as an earlier one is the same memory.
std::map<std::size_t, void*> given;

void* CL_API_CALL alloc_again(cl_context context, cl_svm_mem_flags flags, std::size_t size, cl_uint alignment) {
  const std::lock_guard lock(mutex);
  void*& pointer = given[size];
  if (!pointer) pointer = next.clSVMAlloc(context, flags, size, alignment);
  return pointer;
}

void CL_API_CALL free_nothing(cl_context, void*) {}

// never-freed: a device of 512 MiB on which freed memory is never available again.
std::size_t handed_out = 0;

void* CL_API_CALL alloc_of_a_few(cl_context context, cl_svm_mem_flags flags, std::size_t size, cl_uint alignment) {
  const std::lock_guard lock(mutex);
  handed_out += size;
  return handed_out > std::size_t{512} << 20 ? nullptr : next.clSVMAlloc(context, flags, size, alignment);
}

// copied-buffers: a buffer over shared memory has storage of its own.
cl_mem CL_API_CALL buffer_copied(cl_context context, cl_mem_flags flags, std::size_t size, void* host, cl_int* code) {
  if (flags & CL_MEM_USE_HOST_PTR) flags = (flags & ~cl_mem_flags{CL_MEM_USE_HOST_PTR}) | CL_MEM_COPY_HOST_PTR;
  return next.clCreateBuffer(context, flags, size, host, code);
}

// false-answers: queries give wrong answers.
template <typename T>
void change(void* value, T to) {
  if (value) std::memcpy(value, &to, sizeof to);
}

cl_int CL_API_CALL memory_info_false(cl_mem memory, cl_mem_info what, std::size_t size, void* value, std::size_t* needed) {
  cl_bool uses = CL_FALSE;
  next.clGetMemObjectInfo(memory, CL_MEM_USES_SVM_POINTER, sizeof uses, &uses, nullptr);
  const cl_int code = next.clGetMemObjectInfo(memory, what, size, value, needed);
  if (what == CL_MEM_USES_SVM_POINTER) change<cl_bool>(value, !uses);
  if (what == CL_MEM_FLAGS) change<cl_mem_flags>(value, CL_MEM_READ_WRITE);
  return code;
}

cl_int CL_API_CALL event_info_false(cl_event event, cl_event_info what, std::size_t size, void* value, std::size_t* needed) {
  const cl_int code = next.clGetEventInfo(event, what, size, value, needed);
  if (what == CL_EVENT_COMMAND_TYPE) change<cl_command_type>(value, CL_COMMAND_MARKER);
  return code;
}

cl_int CL_API_CALL profiling_false(cl_event event, cl_profiling_info what, std::size_t size, void* value, std::size_t* needed) {
  return next.clGetEventProfilingInfo(event, what == CL_PROFILING_COMMAND_END ? CL_PROFILING_COMMAND_QUEUED : what, size, value,
                                      needed);
}

cl_int CL_API_CALL device_info_false(cl_device_id device, cl_device_info what, std::size_t size, void* value,
                                     std::size_t* needed) {
  const cl_int code = next.clGetDeviceInfo(device, what, size, value, needed);
  if (what == CL_DEVICE_SVM_CAPABILITIES) change<cl_ulong>(value, 0x1f);
  if (what == CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES || what == CL_DEVICE_ATOMIC_FENCE_CAPABILITIES)
    change<cl_ulong>(value, CL_DEVICE_ATOMIC_ORDER_SEQ_CST | CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES);
  return code;
}

// hidden-svm: the device has shared virtual memory but says that it has none.
cl_int CL_API_CALL device_info_without_svm(cl_device_id device, cl_device_info what, std::size_t size, void* value,
                                           std::size_t* needed) {
  const cl_int code = next.clGetDeviceInfo(device, what, size, value, needed);
  if (what == CL_DEVICE_SVM_CAPABILITIES) change<cl_ulong>(value, 0);
  return code;
}

// silent-free: a free with a callback does not call it.
void CL_CALLBACK call_nobody(cl_command_queue, cl_uint, void*[], void*) {}

cl_int CL_API_CALL free_silently(cl_command_queue queue, cl_uint count, void* pointers[],
                                 void(CL_CALLBACK* callback)(cl_command_queue, cl_uint, void*[], void*), void* data,
                                 cl_uint waits, const cl_event* list, cl_event* event) {
  return next.clEnqueueSVMFree(queue, count, pointers, callback ? call_nobody : nullptr, data, waits, list, event);
}

}  // namespace

const std::vector<Fault> answer_faults = {
    {"no-errors", "wrong calls succeed",
     [](cl_icd_dispatch& table) {
       table.clSVMAlloc = alloc_anything;
       table.clEnqueueSVMMemcpy = memcpy_anything;
       table.clEnqueueSVMMemFill = fill_anything;
       table.clEnqueueSVMMap = map_anything;
       table.clEnqueueSVMUnmap = unmap_anything;
       table.clEnqueueSVMMigrateMem = migrate_anything;
       table.clEnqueueSVMFree = free_anything;
       table.clSetKernelArgSVMPointer = set_pointer_anything;
       table.clSetKernelExecInfo = set_exec_info_anything;
       table.clCreateBuffer = buffer_of_anything;
       table.clCreateSubBuffer = sub_buffer_of_anything;
     }},
    {"misaligned", "allocations are not aligned",
     [](cl_icd_dispatch& table) {
       table.clSVMAlloc = alloc_misaligned;
       table.clSVMFree = free_shifted;
     }},
    {"same-memory", "two allocations are the same memory",
     [](cl_icd_dispatch& table) {
       table.clSVMAlloc = alloc_again;
       table.clSVMFree = free_nothing;
     }},
    {"never-freed", "freed memory does not come back", [](cl_icd_dispatch& table) { table.clSVMAlloc = alloc_of_a_few; }},
    {"copied-buffers", "a buffer over shared memory has storage of its own",
     [](cl_icd_dispatch& table) { table.clCreateBuffer = buffer_copied; }},
    {"false-answers", "queries give wrong answers",
     [](cl_icd_dispatch& table) {
       table.clGetMemObjectInfo = memory_info_false;
       table.clGetEventInfo = event_info_false;
       table.clGetEventProfilingInfo = profiling_false;
       table.clGetDeviceInfo = device_info_false;
     }},
    {"hidden-svm", "the device says that it has no shared virtual memory",
     [](cl_icd_dispatch& table) { table.clGetDeviceInfo = device_info_without_svm; }},
    {"silent-free", "a free does not call back", [](cl_icd_dispatch& table) { table.clEnqueueSVMFree = free_silently; }},
};

}  // namespace faultline::layer
