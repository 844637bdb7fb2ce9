// Faults of kernel arguments and of the accesses of kernels.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "opencl_tests/layer/allocations.h"

namespace faultline::layer {
namespace {

std::mutex mutex;

// The pointers that a kernel was given: its pointer arguments, and the pointers of its exec info.
struct Told {
  std::map<cl_uint, std::byte*> arguments;
  std::vector<std::byte*> indirect;
};
std::map<cl_kernel, Told> told;

cl_int CL_API_CALL set_pointer_noting(cl_kernel kernel, cl_uint index, const void* pointer) {
  const std::lock_guard lock(mutex);
  told[kernel].arguments[index] = static_cast<std::byte*>(const_cast<void*>(pointer));
  return next.clSetKernelArgSVMPointer(kernel, index, pointer);
}

cl_int CL_API_CALL set_exec_info_noting(cl_kernel kernel, cl_kernel_exec_info what, std::size_t size, const void* value) {
  const cl_int code = next.clSetKernelExecInfo(kernel, what, size, value);
  if (code == CL_SUCCESS && what == CL_KERNEL_EXEC_INFO_SVM_PTRS && (value || !size)) {
    const std::lock_guard lock(mutex);
    auto* const* pointers = static_cast<std::byte* const*>(value);
    told[kernel].indirect.assign(pointers, pointers + size / sizeof(void*));
  }
  return code;
}

cl_kernel CL_API_CALL clone_noting(cl_kernel source, cl_int* code) {
  cl_kernel clone = next.clCloneKernel(source, code);
  const std::lock_guard lock(mutex);
  if (clone) told[clone] = told[source];
  return clone;
}

void note_what_kernels_are_told(cl_icd_dispatch& table) {
  table.clSetKernelArgSVMPointer = set_pointer_noting;
  table.clSetKernelExecInfo = set_exec_info_noting;
  table.clCloneKernel = clone_noting;
}

void CL_CALLBACK drop(cl_event, cl_int, void* bytes) { std::free(bytes); }

// exec-info-ignored: memory that is only reached through pointers in memory is not made resident. The kernel sees it as it
// was when it was allocated, and the kernel's stores to it are lost.
cl_int CL_API_CALL nd_range_without(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const std::size_t* offset,
                                    const std::size_t* global, const std::size_t* local, cl_uint count, const cl_event* list,
                                    cl_event* event) {
  std::map<std::byte*, Allocation> away;
  {
    const std::lock_guard lock(mutex);
    for (std::byte* pointer : told[kernel].indirect)
      if (const auto allocation = allocation_of(pointer)) away[allocation->start] = *allocation;
    for (const auto& [index, pointer] : told[kernel].arguments)
      if (const auto allocation = allocation_of(pointer)) away.erase(allocation->start);
  }
  std::map<std::byte*, void*> kept;
  cl_event last = nullptr;
  Waits before(count, list);
  for (const auto& [start, allocation] : away) {
    static constexpr char zero = 0;
    kept[start] = std::malloc(allocation.size);
    cl_event copied = nullptr;
    next.clEnqueueSVMMemcpy(queue, CL_FALSE, kept[start], start, allocation.size, count, list, &copied);
    next.clEnqueueSVMMemFill(queue, start, &zero, 1, allocation.size, 1, &copied, &last);
    before.and_for(last);
  }
  const cl_int code =
      next.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, before.count(), before.data(), &last);
  if (code != CL_SUCCESS) return code;
  for (const auto& [start, bytes] : kept) {
    cl_event restored = nullptr;
    next.clEnqueueSVMMemcpy(queue, CL_FALSE, start, bytes, away[start].size, 1, &last, &restored);
    next.clSetEventCallback(restored, CL_COMPLETE, drop, bytes);
    last = restored;
  }
  if (event) *event = last;
  return CL_SUCCESS;
}

// rounded-pointers: a pointer into an allocation is rounded down to 64 bytes.
cl_int CL_API_CALL set_pointer_rounded(cl_kernel kernel, cl_uint index, const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer) & ~std::uintptr_t{63};
  return next.clSetKernelArgSVMPointer(kernel, index, reinterpret_cast<const void*>(address));
}

// stuck-arguments: the first pointer that is set stays.
std::set<std::pair<cl_kernel, cl_uint>> stuck;

cl_int CL_API_CALL set_pointer_once(cl_kernel kernel, cl_uint index, const void* pointer) {
  const std::lock_guard lock(mutex);
  if (!stuck.emplace(kernel, index).second) return CL_SUCCESS;
  return next.clSetKernelArgSVMPointer(kernel, index, pointer);
}

// shared-clones: a clone is the kernel itself.
cl_kernel CL_API_CALL clone_shared(cl_kernel source, cl_int* code) {
  if (code) *code = CL_SUCCESS;
  next.clRetainKernel(source);
  return source;
}

// fine-by-copy: a kernel works on copies of fine-grained memory. After the kernel, the words that it has changed are
// written back, those of the last argument first, with pauses in between.
struct Copy {
  std::byte* home;
  std::size_t size;
  std::vector<std::byte> before, after;
};
struct Copies {
  std::vector<Copy> all;
  cl_event done;
};

void CL_CALLBACK bring_back(cl_event, cl_int, void* data) {
  std::thread([copies = std::unique_ptr<Copies>(static_cast<Copies*>(data))] {
    constexpr std::size_t word = 4;
    for (auto copy = copies->all.rbegin(); copy != copies->all.rend(); ++copy) {
      if (copy != copies->all.rbegin()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      for (std::size_t i = 0; i < copy->size; i += word) {
        const std::size_t length = std::min(word, copy->size - i);
        if (std::memcmp(&copy->before[i], &copy->after[i], length) != 0) std::memcpy(copy->home + i, &copy->after[i], length);
      }
    }
    next.clSetUserEventStatus(copies->done, CL_COMPLETE);
    next.clReleaseEvent(copies->done);
  }).detach();
}

cl_int CL_API_CALL nd_range_on_copies(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const std::size_t* offset,
                                      const std::size_t* global, const std::size_t* local, cl_uint count, const cl_event* list,
                                      cl_event* event) {
  auto copies = std::make_unique<Copies>();
  const std::lock_guard lock(mutex);
  const std::map<cl_uint, std::byte*> arguments = told[kernel].arguments;
  Waits waits(count, list);
  for (const auto& [index, pointer] : arguments) {
    const auto allocation = allocation_of(pointer);
    if (!allocation || !(allocation->flags & CL_MEM_SVM_FINE_GRAIN_BUFFER)) continue;
    Copy& copy = copies->all.emplace_back(Copy{allocation->start, allocation->size, {}, {}});
    copy.before.resize(copy.size);
    copy.after.resize(copy.size);
    for (std::vector<std::byte>* bytes : {&copy.before, &copy.after}) {
      cl_event copied = nullptr;
      next.clEnqueueSVMMemcpy(queue, CL_FALSE, bytes->data(), copy.home, copy.size, count, list, &copied);
      waits.and_for(copied);
    }
    next.clSetKernelArgSVMPointer(kernel, index, copy.after.data() + (pointer - copy.home));
  }
  if (copies->all.empty())
    return next.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, count, list, event);
  cl_event ran = nullptr;
  const cl_int code =
      next.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, waits.count(), waits.data(), &ran);
  for (const auto& [index, pointer] : arguments) next.clSetKernelArgSVMPointer(kernel, index, pointer);
  if (code != CL_SUCCESS) return code;
  cl_event done = copies->done = next.clCreateUserEvent(context_of(queue), nullptr);
  next.clRetainEvent(done);
  next.clSetEventCallback(ran, CL_COMPLETE, bring_back, copies.release());
  return next.clEnqueueBarrierWithWaitList(queue, 1, &done, event);
}

// Faults of atomics are macros in front of the kernels' source. REAL_ gives the real function: in PoCL 3.1 the atomics are
// macros themselves.
constexpr char real_names[] = R"(
#ifdef atomic_load_explicit
#define REAL_(name) _cl_##name
#else
#define REAL_(name) name
#endif
)";

// lost-updates: in one work-item of eight, or in the only one, atomics change nothing but pretend that they do.
constexpr char lost_updates[] = R"(
#define LOSES_ (get_global_id(0) % 8 == min((ulong)get_global_size(0) - 1, (ulong)7))
#define RMW_(p, operation) (LOSES_ ? REAL_(atomic_load_explicit)(p, memory_order_relaxed, memory_scope_device) : operation)
#define atomic_fetch_add_explicit(p, v, o, s) RMW_(p, REAL_(atomic_fetch_add_explicit)(p, v, o, s))
#define atomic_fetch_sub_explicit(p, v, o, s) RMW_(p, REAL_(atomic_fetch_sub_explicit)(p, v, o, s))
#define atomic_fetch_or_explicit(p, v, o, s) RMW_(p, REAL_(atomic_fetch_or_explicit)(p, v, o, s))
#define atomic_fetch_xor_explicit(p, v, o, s) RMW_(p, REAL_(atomic_fetch_xor_explicit)(p, v, o, s))
#define atomic_fetch_and_explicit(p, v, o, s) RMW_(p, REAL_(atomic_fetch_and_explicit)(p, v, o, s))
#define atomic_fetch_min_explicit(p, v, o, s) RMW_(p, REAL_(atomic_fetch_min_explicit)(p, v, o, s))
#define atomic_fetch_max_explicit(p, v, o, s) RMW_(p, REAL_(atomic_fetch_max_explicit)(p, v, o, s))
#define atomic_exchange_explicit(p, v, o, s) RMW_(p, REAL_(atomic_exchange_explicit)(p, v, o, s))
#define atomic_compare_exchange_strong_explicit(p, e, v, o, f, s) \
  (LOSES_ || REAL_(atomic_compare_exchange_strong_explicit)(p, e, v, o, f, s))
#define atomic_compare_exchange_weak_explicit(p, e, v, o, f, s) \
  (LOSES_ || REAL_(atomic_compare_exchange_weak_explicit)(p, e, v, o, f, s))
#define atomic_store_explicit(p, v, o, s) do { if (!LOSES_) REAL_(atomic_store_explicit)(p, v, o, s); } while (0)
#define atomic_init(p, v) do { if (!LOSES_) REAL_(atomic_init)(p, v); } while (0)
#define atomic_flag_clear_explicit(p, o, s) do { if (!LOSES_) REAL_(atomic_flag_clear_explicit)(p, o, s); } while (0)
)";

// early-acquire: a load sees the next value of a counter too early, before the data that belongs to the value.
constexpr char early_acquire[] = R"(
#define atomic_load_explicit(p, o, s) (REAL_(atomic_load_explicit)(p, o, s) + 1)
)";

cl_program CL_API_CALL losing_updates(cl_context context, cl_uint count, const char** texts, const std::size_t* lengths,
                                      cl_int* code) {
  return with_source(context, count, texts, lengths, code, (std::string(real_names) + lost_updates).c_str());
}

cl_program CL_API_CALL acquiring_early(cl_context context, cl_uint count, const char** texts, const std::size_t* lengths,
                                       cl_int* code) {
  return with_source(context, count, texts, lengths, code, (std::string(real_names) + early_acquire).c_str());
}

}  // namespace

const std::vector<Fault> kernel_faults = {
    {"exec-info-ignored", "memory that a kernel reaches through pointers alone is not made resident",
     [](cl_icd_dispatch& table) {
       track_allocations(table);
       note_what_kernels_are_told(table);
       table.clEnqueueNDRangeKernel = nd_range_without;
     }},
    {"rounded-pointers", "pointers into allocations lose their low bits",
     [](cl_icd_dispatch& table) { table.clSetKernelArgSVMPointer = set_pointer_rounded; }},
    {"stuck-arguments", "an argument keeps its first value",
     [](cl_icd_dispatch& table) { table.clSetKernelArgSVMPointer = set_pointer_once; }},
    {"shared-clones", "a clone is the kernel itself", [](cl_icd_dispatch& table) { table.clCloneKernel = clone_shared; }},
    {"fine-by-copy", "fine-grained memory is copied for a kernel, and back in words, out of order",
     [](cl_icd_dispatch& table) {
       track_allocations(table);
       note_what_kernels_are_told(table);
       table.clEnqueueNDRangeKernel = nd_range_on_copies;
     }},
    {"lost-updates", "one atomic in eight is lost",
     [](cl_icd_dispatch& table) { table.clCreateProgramWithSource = losing_updates; }},
    {"early-acquire", "an atomic load sees a future value",
     [](cl_icd_dispatch& table) { table.clCreateProgramWithSource = acquiring_early; }},
};

}  // namespace faultline::layer
