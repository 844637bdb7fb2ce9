// Faults of order: waits that are too short, writes in the wrong order, events that order nothing.
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "opencl_tests/layer/layer.h"

namespace faultline::layer {
namespace {

// A user event that completes after that time. A command that waits for it plays slow work.
cl_event later(cl_context context, int milliseconds) {
  cl_event event = next.clCreateUserEvent(context, nullptr);
  next.clRetainEvent(event);
  std::thread([event, milliseconds] {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    next.clSetUserEventStatus(event, CL_COMPLETE);
    next.clReleaseEvent(event);
  }).detach();
  return event;
}

// early-wait: commands are slow, and waits return before they are done.
constexpr int slow = 200;

cl_int CL_API_CALL nd_range_slow(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const std::size_t* offset,
                                 const std::size_t* global, const std::size_t* local, cl_uint count, const cl_event* list,
                                 cl_event* event) {
  Waits waits(count, list);
  waits.and_for(later(context_of(queue), slow));
  return next.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, waits.count(), waits.data(), event);
}

cl_int CL_API_CALL memcpy_slow(cl_command_queue queue, cl_bool, void* to, const void* from, std::size_t size, cl_uint count,
                               const cl_event* list, cl_event* event) {
  Waits waits(count, list);
  waits.and_for(later(context_of(queue), slow));
  return next.clEnqueueSVMMemcpy(queue, CL_FALSE, to, from, size, waits.count(), waits.data(), event);
}

cl_int CL_API_CALL fill_slow(cl_command_queue queue, void* to, const void* pattern, std::size_t pattern_size, std::size_t size,
                             cl_uint count, const cl_event* list, cl_event* event) {
  Waits waits(count, list);
  waits.and_for(later(context_of(queue), slow));
  return next.clEnqueueSVMMemFill(queue, to, pattern, pattern_size, size, waits.count(), waits.data(), event);
}

cl_int CL_API_CALL map_early(cl_command_queue queue, cl_bool, cl_map_flags flags, void* pointer, std::size_t size, cl_uint count,
                             const cl_event* list, cl_event* event) {
  return next.clEnqueueSVMMap(queue, CL_FALSE, flags, pointer, size, count, list, event);
}

cl_int CL_API_CALL finish_early(cl_command_queue queue) { return next.clFlush(queue); }

cl_int CL_API_CALL wait_early(cl_uint, const cl_event* events) {
  cl_command_queue queue = nullptr;
  next.clGetEventInfo(events[0], CL_EVENT_COMMAND_QUEUE, sizeof queue, &queue, nullptr);
  return queue ? next.clFlush(queue) : CL_SUCCESS;
}

// swapped-writes: of two fills or copies in a row, the second one is done first. The first one is held until the next
// command, or until somebody waits. Until then a user event stands in for it.
struct Held {
  cl_event stand_in;
  std::string pattern;  // of a fill
  void* to;
  const void* from;
  std::size_t size;
};
std::recursive_mutex mutex;
std::map<cl_command_queue, Held> held;

void CL_CALLBACK happened(cl_event, cl_int, void* stand_in) {
  next.clSetUserEventStatus(static_cast<cl_event>(stand_in), CL_COMPLETE);
  next.clReleaseEvent(static_cast<cl_event>(stand_in));
}

cl_int enqueue(cl_command_queue queue, const Held& write, cl_event* event) {
  return write.from ? next.clEnqueueSVMMemcpy(queue, CL_FALSE, write.to, write.from, write.size, 0, nullptr, event)
                    : next.clEnqueueSVMMemFill(queue, write.to, write.pattern.data(), write.pattern.size(), write.size, 0,
                                               nullptr, event);
}

void let_go(cl_command_queue queue) {
  const std::lock_guard lock(mutex);
  const auto found = held.find(queue);
  if (found == held.end()) return;
  const Held write = found->second;
  held.erase(found);
  cl_event event = nullptr;
  if (enqueue(queue, write, &event) == CL_SUCCESS) next.clSetEventCallback(event, CL_COMPLETE, happened, write.stand_in);
}

void let_all_go() {
  const std::lock_guard lock(mutex);
  while (!held.empty()) let_go(held.begin()->first);
}

// Holds the write. If one is held already, enqueues the new one and then the held one.
cl_int hold(cl_command_queue queue, Held write, cl_event* event) {
  const std::lock_guard lock(mutex);
  if (held.contains(queue)) {
    const cl_int code = enqueue(queue, write, event);
    let_go(queue);
    return code;
  }
  write.stand_in = next.clCreateUserEvent(context_of(queue), nullptr);
  next.clRetainEvent(write.stand_in);
  if (event) {
    *event = write.stand_in;
  } else {
    next.clReleaseEvent(write.stand_in);
  }
  held.emplace(queue, std::move(write));
  return CL_SUCCESS;
}

cl_int CL_API_CALL memcpy_swapped(cl_command_queue queue, cl_bool blocking, void* to, const void* from, std::size_t size,
                                  cl_uint count, const cl_event* list, cl_event* event) {
  if (!blocking && !count) return hold(queue, {nullptr, {}, to, from, size}, event);
  let_all_go();
  return next.clEnqueueSVMMemcpy(queue, blocking, to, from, size, count, list, event);
}

cl_int CL_API_CALL fill_swapped(cl_command_queue queue, void* to, const void* pattern, std::size_t pattern_size, std::size_t size,
                                cl_uint count, const cl_event* list, cl_event* event) {
  if (!count) return hold(queue, {nullptr, {static_cast<const char*>(pattern), pattern_size}, to, nullptr, size}, event);
  let_all_go();
  return next.clEnqueueSVMMemFill(queue, to, pattern, pattern_size, size, count, list, event);
}

// A wrapper for a function of the table: enqueues held writes first.
template <auto function>
struct After;
template <typename R, typename... Arguments, R (CL_API_CALL* cl_icd_dispatch::*function)(Arguments...)>
struct After<function> {
  static R CL_API_CALL call(Arguments... arguments) {
    let_all_go();
    return (next.*function)(arguments...);
  }
};

// events-ignored: no command waits for its events.
cl_int CL_API_CALL nd_range_at_once(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const std::size_t* offset,
                                    const std::size_t* global, const std::size_t* local, cl_uint, const cl_event*,
                                    cl_event* event) {
  return next.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, 0, nullptr, event);
}

cl_int CL_API_CALL memcpy_at_once(cl_command_queue queue, cl_bool blocking, void* to, const void* from, std::size_t size, cl_uint,
                                  const cl_event*, cl_event* event) {
  return next.clEnqueueSVMMemcpy(queue, blocking, to, from, size, 0, nullptr, event);
}

cl_int CL_API_CALL fill_at_once(cl_command_queue queue, void* to, const void* pattern, std::size_t pattern_size, std::size_t size,
                                cl_uint, const cl_event*, cl_event* event) {
  return next.clEnqueueSVMMemFill(queue, to, pattern, pattern_size, size, 0, nullptr, event);
}

cl_int CL_API_CALL map_at_once(cl_command_queue queue, cl_bool blocking, cl_map_flags flags, void* pointer, std::size_t size,
                               cl_uint, const cl_event*, cl_event* event) {
  return next.clEnqueueSVMMap(queue, blocking, flags, pointer, size, 0, nullptr, event);
}

cl_int CL_API_CALL migrate_at_once(cl_command_queue queue, cl_uint number, const void** pointers, const std::size_t* sizes,
                                   cl_mem_migration_flags flags, cl_uint, const cl_event*, cl_event* event) {
  return next.clEnqueueSVMMigrateMem(queue, number, pointers, sizes, flags, 0, nullptr, event);
}

cl_int CL_API_CALL free_at_once(cl_command_queue queue, cl_uint count, void* pointers[],
                                void(CL_CALLBACK* callback)(cl_command_queue, cl_uint, void*[], void*), void* data, cl_uint,
                                const cl_event*, cl_event* event) {
  return next.clEnqueueSVMFree(queue, count, pointers, callback, data, 0, nullptr, event);
}

// early-read: a read with events to wait for returns what the buffer held at the previous read. Only out-of-order queues
// are affected, because in-order queues need no events.
std::map<cl_mem, std::vector<char>> last_reads;

cl_int CL_API_CALL read_early(cl_command_queue queue, cl_mem buffer, cl_bool blocking, std::size_t offset, std::size_t size,
                              void* to, cl_uint count, const cl_event* list, cl_event* event) {
  if (!count) return next.clEnqueueReadBuffer(queue, buffer, blocking, offset, size, to, count, list, event);
  std::vector<char> now(size);
  const cl_int code = next.clEnqueueReadBuffer(queue, buffer, CL_TRUE, offset, size, now.data(), count, list, event);
  const std::lock_guard lock(mutex);
  std::vector<char>& last = last_reads[buffer];
  last.resize(size);
  std::memcpy(to, last.data(), size);
  last = now;
  return code;
}

// barrier-ignored: later commands overtake slow commands before the barrier.
cl_int CL_API_CALL barrier_ignored(cl_command_queue queue, cl_uint, const cl_event*, cl_event* event) {
  cl_event nothing = next.clCreateUserEvent(context_of(queue), nullptr);
  next.clSetUserEventStatus(nothing, CL_COMPLETE);
  if (event) *event = nothing;
  return CL_SUCCESS;
}

}  // namespace

const std::vector<Fault> order_faults = {
    {"early-wait", "waits and blocking commands return before the work is done",
     [](cl_icd_dispatch& table) {
       table.clEnqueueNDRangeKernel = nd_range_slow;
       table.clEnqueueSVMMemcpy = memcpy_slow;
       table.clEnqueueSVMMemFill = fill_slow;
       table.clEnqueueSVMMap = map_early;
       table.clFinish = finish_early;
       table.clWaitForEvents = wait_early;
     }},
    {"swapped-writes", "two writes of one queue are done in the wrong order",
     [](cl_icd_dispatch& table) {
       table.clEnqueueSVMMemcpy = memcpy_swapped;
       table.clEnqueueSVMMemFill = fill_swapped;
       table.clEnqueueNDRangeKernel = After<&cl_icd_dispatch::clEnqueueNDRangeKernel>::call;
       table.clEnqueueSVMMap = After<&cl_icd_dispatch::clEnqueueSVMMap>::call;
       table.clEnqueueSVMUnmap = After<&cl_icd_dispatch::clEnqueueSVMUnmap>::call;
       table.clEnqueueSVMMigrateMem = After<&cl_icd_dispatch::clEnqueueSVMMigrateMem>::call;
       table.clEnqueueSVMFree = After<&cl_icd_dispatch::clEnqueueSVMFree>::call;
       table.clEnqueueMapBuffer = After<&cl_icd_dispatch::clEnqueueMapBuffer>::call;
       table.clEnqueueUnmapMemObject = After<&cl_icd_dispatch::clEnqueueUnmapMemObject>::call;
       table.clEnqueueReadBuffer = After<&cl_icd_dispatch::clEnqueueReadBuffer>::call;
       table.clEnqueueWriteBuffer = After<&cl_icd_dispatch::clEnqueueWriteBuffer>::call;
       table.clEnqueueBarrierWithWaitList = After<&cl_icd_dispatch::clEnqueueBarrierWithWaitList>::call;
       table.clGetEventInfo = After<&cl_icd_dispatch::clGetEventInfo>::call;
       table.clWaitForEvents = After<&cl_icd_dispatch::clWaitForEvents>::call;
       table.clFlush = After<&cl_icd_dispatch::clFlush>::call;
       table.clFinish = After<&cl_icd_dispatch::clFinish>::call;
     }},
    {"events-ignored", "commands do not wait for their events",
     [](cl_icd_dispatch& table) {
       table.clEnqueueNDRangeKernel = nd_range_at_once;
       table.clEnqueueSVMMemcpy = memcpy_at_once;
       table.clEnqueueSVMMemFill = fill_at_once;
       table.clEnqueueSVMMap = map_at_once;
       table.clEnqueueSVMMigrateMem = migrate_at_once;
       table.clEnqueueSVMFree = free_at_once;
     }},
    {"early-read", "a read does not wait for its events", [](cl_icd_dispatch& table) { table.clEnqueueReadBuffer = read_early; }},
    {"barrier-ignored", "a barrier orders nothing",
     [](cl_icd_dispatch& table) {
       table.clEnqueueSVMMemFill = fill_slow;
       table.clEnqueueBarrierWithWaitList = barrier_ignored;
     }},
};

}  // namespace faultline::layer
