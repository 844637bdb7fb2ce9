// One process's use of one OpenCL device: a context, the kernels of kernels/, lanes and SVM buffers.
//
// A driver's threads do not survive fork(), so a Runtime serves the process that made it only. Any number of
// threads may use it. Failures are cl::Error; a kernel that does not build is a BuildError with the compiler's
// words.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <vector>

#include "harness/target.h"
#include "opencl_tests/cl.h"
#include "opencl_tests/device_list.h"

namespace faultline::opencl {

struct BuildError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// What one thread needs for one request at a time: an in-order queue of its own, kernel objects (whose
// arguments are the last ones that any thread set) and buffers.
struct Lane {
  Lane(const cl::Context& context, const cl::Device& device, const cl::Program& cells, const cl::Program* orders);
  cl::CommandQueue queue;
  cl::Kernel load, store, ordered;
  cl::Buffer accesses, results;
};

class Runtime {
 public:
  explicit Runtime(const Device& device);

  // The calling process's own; made at the first call. Null, with errno ENOTSUP, in a process that was forked
  // from one that has it; with errno EIO when the device cannot be used, and why to `words`.
  static Runtime* of_this_process(const Device& device, DriverWords* words);

  std::uint64_t load(std::uintptr_t address);
  void store(std::uintptr_t address, std::uint64_t value);
  void ordered(std::span<OrderedAccess> accesses);

  void* allocate(std::size_t bytes, bool fine);  // null when the device has no memory for it
  void free(void* buffer);
  void map(std::uintptr_t address, std::size_t bytes, Protection access);
  void unmap(std::uintptr_t address);
  void copy(std::uintptr_t to, std::uintptr_t from, std::size_t bytes);
  void fill(std::uintptr_t address, std::uint64_t word);
  void migrate(std::uintptr_t address, std::size_t bytes, bool to_device);

 private:
  class Use;  // a lane while it is used
  std::unique_ptr<Lane> take();
  void give_back(std::unique_ptr<Lane> lane);
  std::vector<void*> buffers();

  SvmLevels svm_;
  cl::Device device_;
  cl::Context context_;
  cl::Program cells_;
  std::optional<cl::Program> orders_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_;
  std::set<void*> buffers_;
};

}  // namespace faultline::opencl
