// One process's use of one OpenCL device: a context, the kernels of kernels/, lanes and buffers.
//
// Every second lane has an in-order queue of its own. The others share an out-of-order queue, if the device has one. Each
// request takes any idle lane. So every scenario goes through both kinds of queues, and through several queues at once.
//
// A driver's threads do not survive fork(), so only the process that made a Runtime can use it. Any number of threads may
// use it. Failures are cl::Error. If a kernel does not build, it is a BuildError with the build log.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <vector>

#include "harness/target.h"
#include "opencl_tests/binaries.h"
#include "opencl_tests/buffers.h"
#include "opencl_tests/commands.h"
#include "opencl_tests/device_list.h"

namespace faultline::opencl {

struct BuildError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// For one request of one thread at a time: a queue, kernel objects and buffers. Kernel objects must not be shared, because
// a kernel has the arguments that any thread has set last.
struct Lane {
  Lane(const cl::Context& context, Queue in, const cl::Program& cells, const cl::Program* orders);
  Queue queue;
  cl::Kernel load, store, ordered;
  cl::Buffer accesses, results;
};

class Runtime {
 public:
  Runtime(const Device& device, DriverWords* words, Binaries& binaries);

  // Null if the device cannot be used: sets errno EIO and gives the reason to `words`.
  static Runtime* make(const Device& device, DriverWords* words, Binaries& binaries);

  std::uint64_t load(std::uintptr_t address);
  void store(std::uintptr_t address, std::uint64_t value);
  void ordered(std::span<OrderedAccess> accesses);

  void* allocate(std::size_t bytes, Backing backing) { return buffers_.allocate(bytes, backing); }
  void free(void* buffer) { buffers_.free(buffer); }
  void map(std::uintptr_t address, std::size_t bytes, Protection access);
  void unmap(std::uintptr_t address);
  void copy(std::uintptr_t to, std::uintptr_t from, std::size_t bytes);
  void fill(std::uintptr_t address, std::uint64_t word);
  void migrate(std::uintptr_t address, std::size_t bytes, bool to_device);

 private:
  class Use;  // takes a lane and gives it back at the end
  std::unique_ptr<Lane> take();
  std::unique_ptr<Lane> make_lane();
  void give_back(std::unique_ptr<Lane> lane);
  void point_to(cl::Kernel& kernel, std::uintptr_t address);
  void name_what_is_reached(cl::Kernel& kernel);
  template <typename Enqueue>
  void command(const char* call, const Enqueue& enqueue);

  DriverWords* const words_;
  Watch watch_;
  const Device device_;
  const cl::Device on_;
  const cl::Context context_;
  Buffers buffers_;
  const cl::Program cells_;
  std::optional<cl::Program> orders_;
  std::optional<Queue> shared_;  // the out-of-order queue of every second lane
  std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_;
  std::minstd_rand random_;
  int lanes_ = 0;
};

}  // namespace faultline::opencl
