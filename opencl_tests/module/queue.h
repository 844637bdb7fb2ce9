// A host queue. It keeps an event of every command, so that a wait that does not end can say which command is stuck.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "opencl_tests/module/event.h"
#include "opencl_tests/module/program.h"

namespace faultline::svm {

using Events = std::vector<std::shared_ptr<Event>>;  // a null pointer is an invalid event

// The arguments with which the callback of clEnqueueSVMFree was called.
struct Freed {
  std::mutex mutex;
  bool called = false;
  cl_command_queue queue = nullptr;
  std::vector<std::uintptr_t> addresses;
};

class Queue : public std::enable_shared_from_this<Queue> {
 public:
  Queue(std::shared_ptr<Context> context, Device device, bool out_of_order, bool profiling, double deadline);

  using Range = std::vector<std::size_t>;
  std::shared_ptr<Event> nd_range(std::shared_ptr<Kernel> kernel, const Range& global, const Range& local, const Range& offset,
                                  const Events& after);
  std::shared_ptr<Event> map(std::uintptr_t address, std::size_t size, cl_map_flags flags, bool blocking, const Events& after);
  std::shared_ptr<Event> unmap(std::uintptr_t address, const Events& after);
  std::shared_ptr<Event> memcpy(std::uintptr_t to, std::uintptr_t from, std::size_t size, bool blocking, const Events& after);
  // Without a pattern: a null pointer, with the given pattern size.
  std::shared_ptr<Event> fill(std::uintptr_t to, std::optional<std::string> pattern, std::size_t pattern_size, std::size_t size,
                              const Events& after);
  // Without addresses: a null list. Without sizes: a null list of sizes.
  std::shared_ptr<Event> migrate(const std::vector<std::uintptr_t>& addresses,
                                 const std::optional<std::vector<std::size_t>>& sizes, cl_mem_migration_flags flags,
                                 const Events& after);
  // With `freed`, the driver calls back; the callback frees the memory (clSVMFree) and fills `freed` in. `kept` are further
  // addresses, not from clSVMAlloc: the driver gets them, and nobody frees them. `count` overrides the number of addresses.
  std::shared_ptr<Event> free(const std::vector<std::uintptr_t>& addresses, std::shared_ptr<Freed> freed,
                              const std::vector<std::uintptr_t>& kept, std::optional<cl_uint> count, const Events& after);
  std::pair<std::uintptr_t, std::shared_ptr<Event>> map_buffer(std::shared_ptr<Buffer> buffer, cl_map_flags flags,
                                                               std::size_t offset, std::size_t size, const Events& after);
  std::shared_ptr<Event> unmap_buffer(std::shared_ptr<Buffer> buffer, std::uintptr_t address, const Events& after);
  std::string read_buffer(std::shared_ptr<Buffer> buffer, std::size_t offset, std::size_t size, const Events& after);
  std::shared_ptr<Event> write_buffer(std::shared_ptr<Buffer> buffer, std::size_t offset, const std::string& bytes,
                                      const Events& after);
  std::shared_ptr<Event> barrier(const Events& after);  // clEnqueueBarrierWithWaitList
  std::shared_ptr<Event> marker(const Events& after);   // clEnqueueMarkerWithWaitList
  void flush();
  void finish(std::optional<double> seconds);

  const std::shared_ptr<Context>& context() const { return context_; }
  const Device& device() const { return device_; }
  cl_command_queue get() const { return handle_.get(); }
  // One line: how many commands are complete, and the state of each other one.
  std::string state() const;

 private:
  // call(number of events, events, event out) makes the clEnqueue call. A blocking one gets the queue's deadline.
  using Call = std::function<cl_int(cl_uint, const cl_event*, cl_event*)>;
  std::shared_ptr<Event> enqueue(const char* name, const Events& after, bool blocking, Call call);

  std::shared_ptr<Context> context_;
  Device device_;
  double deadline_;
  QueueHandle handle_;
  std::deque<std::shared_ptr<Event>> recent_;
  std::size_t complete_ = 0;
};

}  // namespace faultline::svm
