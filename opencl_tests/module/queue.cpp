#include "opencl_tests/module/queue.h"

#include <algorithm>

namespace faultline::svm {
namespace {

void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

// The user data of a callback. The callback owns it, because the queue may be gone by then.
struct FreeCall {
  std::shared_ptr<Freed> freed;
  std::vector<std::uintptr_t> kept;
  cl_context context;
};

void CL_CALLBACK on_free(cl_command_queue queue, cl_uint count, void* pointers[], void* data) {
  const std::unique_ptr<FreeCall> call(static_cast<FreeCall*>(data));
  std::vector<std::uintptr_t> addresses;
  for (cl_uint i = 0; i < count; ++i) {
    addresses.push_back(reinterpret_cast<std::uintptr_t>(pointers[i]));
    if (std::find(call->kept.begin(), call->kept.end(), addresses.back()) == call->kept.end())
      clSVMFree(call->context, pointers[i]);
  }
  const std::lock_guard lock(call->freed->mutex);
  call->freed->called = true;
  call->freed->queue = queue;
  call->freed->addresses = std::move(addresses);
}

}  // namespace

Queue::Queue(std::shared_ptr<Context> context, Device device, bool out_of_order, bool profiling, double deadline)
    : context_(std::move(context)), device_(device), deadline_(deadline) {
  const cl_command_queue_properties bits =
      (out_of_order ? CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE : 0) | (profiling ? CL_QUEUE_PROFILING_ENABLE : 0);
  const cl_queue_properties properties[] = {CL_QUEUE_PROPERTIES, bits, 0};
  cl_int code = CL_SUCCESS;
  handle_ = QueueHandle(clCreateCommandQueueWithProperties(context_->get(), device_.id(), properties, &code));
  check("clCreateCommandQueueWithProperties", code);
}

std::shared_ptr<Event> Queue::enqueue(const char* name, const Events& after, bool blocking, Call call) {
  const auto self = shared_from_this();
  const auto state = [self] { return self->state(); };
  // Shared with the thread of a blocking call: this thread may outlive the function.
  const auto made = std::make_shared<cl_event>(nullptr);
  const auto work = [self, name, after, call = std::move(call), made] {
    std::vector<cl_event> list;
    for (const auto& event : after) list.push_back(event ? event->get() : nullptr);
    cl_event event = nullptr;
    check(name, call(static_cast<cl_uint>(list.size()), list.empty() ? nullptr : list.data(), &event));
    *made = event;  // not if the call fails: a driver may leave a released event there
  };
  if (blocking) {
    within(deadline_, name, state, work);
  } else {
    work();
  }
  const std::weak_ptr<Queue> weak = self;
  const auto event = std::make_shared<Event>(*made, [weak] {
    const auto queue = weak.lock();
    return queue ? queue->state() : std::string("its queue is gone");
  });
  recent_.push_back(event);
  while (recent_.size() > 32 && recent_.front()->status() == CL_COMPLETE) {
    recent_.pop_front();
    ++complete_;
  }
  return event;
}

std::string Queue::state() const {
  std::size_t complete = complete_;
  std::string others;
  for (const auto& event : recent_) {
    if (event->status() == CL_COMPLETE) {
      ++complete;
    } else {
      others += ", " + command_name(event->command()) + " " + status_name(event->status());
    }
  }
  return "the queue: " + std::to_string(complete) + " commands complete" + others;
}

std::shared_ptr<Event> Queue::nd_range(std::shared_ptr<Kernel> kernel, const Range& global, const Range& local,
                                       const Range& offset, const Events& after) {
  return enqueue("clEnqueueNDRangeKernel", after, false, [&](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueNDRangeKernel(get(), kernel->get(), static_cast<cl_uint>(global.size()),
                                  offset.empty() ? nullptr : offset.data(), global.data(), local.empty() ? nullptr : local.data(),
                                  count, list, out);
  });
}

std::shared_ptr<Event> Queue::map(std::uintptr_t address, std::size_t size, cl_map_flags flags, bool blocking,
                                  const Events& after) {
  const auto call = [=, queue = get()](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueSVMMap(queue, blocking ? CL_TRUE : CL_FALSE, flags, pointer(address), size, count, list, out);
  };
  return enqueue("clEnqueueSVMMap", after, blocking, call);
}

std::shared_ptr<Event> Queue::unmap(std::uintptr_t address, const Events& after) {
  return enqueue("clEnqueueSVMUnmap", after, false, [&](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueSVMUnmap(get(), pointer(address), count, list, out);
  });
}

std::shared_ptr<Event> Queue::memcpy(std::uintptr_t to, std::uintptr_t from, std::size_t size, bool blocking,
                                     const Events& after) {
  const auto call = [=, queue = get()](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueSVMMemcpy(queue, blocking ? CL_TRUE : CL_FALSE, pointer(to), pointer(from), size, count, list, out);
  };
  return enqueue("clEnqueueSVMMemcpy", after, blocking, call);
}

std::shared_ptr<Event> Queue::fill(std::uintptr_t to, std::optional<std::string> pattern, std::size_t pattern_size,
                                   std::size_t size, const Events& after) {
  return enqueue("clEnqueueSVMMemFill", after, false, [&](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueSVMMemFill(get(), pointer(to), pattern ? pattern->data() : nullptr, pattern_size, size, count, list, out);
  });
}

std::shared_ptr<Event> Queue::migrate(const std::vector<std::uintptr_t>& addresses,
                                      const std::optional<std::vector<std::size_t>>& sizes, cl_mem_migration_flags flags,
                                      const Events& after) {
  std::vector<const void*> pointers;
  for (const std::uintptr_t address : addresses) pointers.push_back(pointer(address));
  return enqueue("clEnqueueSVMMigrateMem", after, false, [&](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueSVMMigrateMem(get(), static_cast<cl_uint>(pointers.size()), pointers.empty() ? nullptr : pointers.data(),
                                  sizes ? sizes->data() : nullptr, flags, count, list, out);
  });
}

std::shared_ptr<Event> Queue::free(const std::vector<std::uintptr_t>& addresses, std::shared_ptr<Freed> freed,
                                   const std::vector<std::uintptr_t>& kept, std::optional<cl_uint> number, const Events& after) {
  std::vector<void*> pointers;
  for (const std::uintptr_t address : addresses) pointers.push_back(pointer(address));
  auto data = freed ? std::make_unique<FreeCall>(FreeCall{freed, kept, context_->get()}) : nullptr;
  const auto event = enqueue("clEnqueueSVMFree", after, false, [&](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueSVMFree(get(), number.value_or(static_cast<cl_uint>(pointers.size())),
                            pointers.empty() ? nullptr : pointers.data(), freed ? on_free : nullptr, data.get(), count, list,
                            out);
  });
  (void)data.release();  // on_free() frees it
  return event;
}

std::pair<std::uintptr_t, std::shared_ptr<Event>> Queue::map_buffer(std::shared_ptr<Buffer> buffer, cl_map_flags flags,
                                                                    std::size_t offset, std::size_t size, const Events& after) {
  const auto address = std::make_shared<std::uintptr_t>(0);
  const auto call = [=, queue = get()](cl_uint count, const cl_event* list, cl_event* out) {
    cl_int code = CL_SUCCESS;
    *address = reinterpret_cast<std::uintptr_t>(
        clEnqueueMapBuffer(queue, buffer->get(), CL_TRUE, flags, offset, size, count, list, out, &code));
    return code;
  };
  const auto event = enqueue("clEnqueueMapBuffer", after, true, call);
  return {*address, event};
}

std::shared_ptr<Event> Queue::unmap_buffer(std::shared_ptr<Buffer> buffer, std::uintptr_t address, const Events& after) {
  return enqueue("clEnqueueUnmapMemObject", after, false, [&](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueUnmapMemObject(get(), buffer->get(), pointer(address), count, list, out);
  });
}

std::string Queue::read_buffer(std::shared_ptr<Buffer> buffer, std::size_t offset, std::size_t size, const Events& after) {
  const auto bytes = std::make_shared<std::string>(size, '\0');
  const auto call = [=, queue = get()](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueReadBuffer(queue, buffer->get(), CL_TRUE, offset, size, bytes->data(), count, list, out);
  };
  enqueue("clEnqueueReadBuffer", after, true, call);
  return *bytes;
}

std::shared_ptr<Event> Queue::write_buffer(std::shared_ptr<Buffer> buffer, std::size_t offset, const std::string& bytes,
                                           const Events& after) {
  const auto call = [=, queue = get()](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueWriteBuffer(queue, buffer->get(), CL_TRUE, offset, bytes.size(), bytes.data(), count, list, out);
  };
  return enqueue("clEnqueueWriteBuffer", after, true, call);
}

std::shared_ptr<Event> Queue::barrier(const Events& after) {
  return enqueue("clEnqueueBarrierWithWaitList", after, false, [&](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueBarrierWithWaitList(get(), count, list, out);
  });
}

std::shared_ptr<Event> Queue::marker(const Events& after) {
  return enqueue("clEnqueueMarkerWithWaitList", after, false, [&](cl_uint count, const cl_event* list, cl_event* out) {
    return clEnqueueMarkerWithWaitList(get(), count, list, out);
  });
}

void Queue::flush() { check("clFlush", clFlush(get())); }

void Queue::finish(std::optional<double> seconds) {
  const auto self = shared_from_this();
  within(
      seconds.value_or(deadline_), "clFinish", [self] { return self->state(); },
      [self] { check("clFinish", clFinish(self->get())); });
}

}  // namespace faultline::svm
