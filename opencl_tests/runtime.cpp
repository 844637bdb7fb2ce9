#include "opencl_tests/runtime.h"

#include <errno.h>

#include <utility>

namespace faultline::opencl {
namespace {

// Made from the files of kernels/.
constexpr const char* cell_source =
#include "opencl_tests/kernels/cell.inc"
    ;
constexpr const char* ordered_source =
#include "opencl_tests/kernels/ordered.inc"
    ;

constexpr std::size_t words_of_an_access = 4;

// The program from another process's binary, if the driver accepts it; otherwise no program.
cl::Program build_binary(const cl::Context& context, const cl::Device& device, const std::vector<unsigned char>& binary,
                         const char* options) try {
  if (binary.empty()) return {};
  cl::Program program = in_driver("clCreateProgramWithBinary", [&] { return cl::Program(context, {device}, {binary}); });
  in_driver("clBuildProgram", [&] { program.build({device}, options); });
  return program;
} catch (const cl::Error&) {
  return {};
}

cl::Program build(const cl::Context& context, const cl::Device& device, const char* source, const char* options) {
  cl::Program program = in_driver("clCreateProgramWithSource", [&] { return cl::Program(context, source); });
  try {
    in_driver("clBuildProgram", [&] { program.build({device}, options); });
  } catch (const cl::BuildError& error) {
    const DriverCall in("clGetProgramBuildInfo");
    throw BuildError("a kernel does not build: " + text_of(error) + "\n" + program.getBuildInfo<CL_PROGRAM_BUILD_LOG>(device));
  }
  return program;
}

cl::Program build_once(const cl::Context& context, const cl::Device& device, const char* source, const char* options,
                       Source which, Binaries& binaries) {
  if (cl::Program built = build_binary(context, device, binaries.find(which), options); built()) return built;
  cl::Program program = build(context, device, source, options);
  try {
    const auto made = in_driver("clGetProgramInfo", [&] { return program.getInfo<CL_PROGRAM_BINARIES>(); });
    if (!made.empty()) binaries.keep(which, made.front());
  } catch (const cl::Error&) {
    // The driver gives no binary: the next process builds, too.
  }
  return program;
}

// The scope of all devices is a feature of OpenCL C 3.0. PoCL 3.1 has it but does not define its macro.
constexpr const char* with_all_devices_scope = "-cl-std=CL3.0 -D__opencl_c_atomic_scope_all_devices=1";

cl::Kernel make_kernel(const cl::Program& program, const char* name) {
  return in_driver("clCreateKernel", [&] { return cl::Kernel(program, name); });
}

cl::Buffer make_buffer(const cl::Context& context, cl_mem_flags flags, std::size_t bytes) {
  return in_driver("clCreateBuffer", [&] { return cl::Buffer(context, flags, bytes); });
}

template <typename Value>
void set_argument(cl::Kernel& kernel, cl_uint index, const Value& value) {
  in_driver("clSetKernelArg", [&] { kernel.setArg(index, value); });
}

void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

// Enqueues a kernel with one work-item.
auto one_of(const cl::Kernel& kernel) {
  return [&kernel](cl_command_queue queue, auto... events) {
    constexpr std::size_t one = 1;
    return clEnqueueNDRangeKernel(queue, kernel(), 1, nullptr, &one, nullptr, events...);
  };
}

// The code that kernels/ordered.cl expects.
cl_ulong code_of(const OrderedAccess& access) {
  return 8 * (static_cast<cl_ulong>(access.order) - static_cast<cl_ulong>(Order::relaxed)) + static_cast<cl_ulong>(access.kind);
}

}  // namespace

Lane::Lane(const cl::Context& context, Queue in, const cl::Program& cells, const cl::Program* orders)
    : queue(std::move(in)),
      load(make_kernel(cells, "load_cell")),
      store(make_kernel(cells, "store_cell")),
      accesses(make_buffer(context, CL_MEM_READ_ONLY, limits::operations * words_of_an_access * sizeof(cl_ulong))),
      results(make_buffer(context, CL_MEM_WRITE_ONLY, limits::operations * sizeof(cl_ulong))) {
  set_argument(load, 1, results);
  if (!orders) return;
  ordered = make_kernel(*orders, "ordered");
  set_argument(ordered, 0, accesses);
  set_argument(ordered, 2, results);
}

class Runtime::Use {
 public:
  explicit Use(Runtime& runtime) : runtime_(runtime), lane_(runtime.take()) {}
  ~Use() { runtime_.give_back(std::move(lane_)); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  Lane* operator->() const { return lane_.get(); }

 private:
  Runtime& runtime_;
  std::unique_ptr<Lane> lane_;
};

Runtime::Runtime(const Device& device, DriverWords* words, Binaries& binaries)
    : words_(words),
      watch_(words),
      device_(device),
      on_(find(device)),
      context_(in_driver("clCreateContext", [&] { return cl::Context(on_); })),
      buffers_(device, context_, on_),
      cells_(build_once(context_, on_, cell_source, "", Source::cell, binaries)) {
  if (device.svm.atomics) orders_ = build_once(context_, on_, ordered_source, with_all_devices_scope, Source::ordered, binaries);
  if (device.out_of_order) shared_.emplace(context_, on_, true);
  give_back(make_lane());  // make both kinds of lanes now, before they are needed
  if (shared_) give_back(make_lane());
}

Runtime* Runtime::make(const Device& device, DriverWords* words, Binaries& binaries) {
  try {
    return new Runtime(device, words, binaries);
  } catch (const cl::Error& error) {
    if (words) words->failed(text_of(error));
  } catch (const std::exception& error) {
    if (words) words->failed(error.what());
  }
  errno = EIO;
  return nullptr;
}

std::unique_ptr<Lane> Runtime::make_lane() {
  const std::lock_guard lock(mutex_);
  const bool shared = lanes_++ % 2 == 1 && shared_;
  Queue queue = shared ? in_driver("clRetainCommandQueue", [&] { return *shared_; }) : Queue(context_, on_, false);
  return std::make_unique<Lane>(context_, std::move(queue), cells_, orders_ ? &*orders_ : nullptr);
}

std::unique_ptr<Lane> Runtime::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::swap(idle_[random_() % idle_.size()], idle_.back());
      std::unique_ptr<Lane> lane = std::move(idle_.back());
      idle_.pop_back();
      return lane;
    }
  }
  return make_lane();
}

void Runtime::give_back(std::unique_ptr<Lane> lane) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(lane));
}

// Sets the address as the kernel's first argument.
void Runtime::point_to(cl::Kernel& kernel, std::uintptr_t address) {
  const Buffer buffer = buffers_.at(address);
  if (is_usm(buffer.backing))
    must("clSetKernelArgMemPointerINTEL", [&] { return buffers_.usm().set_argument(kernel(), 0, pointer(address)); });
  else if (buffer.backing == Backing::device_address)
    must("clSetKernelArgDevicePointerEXT",
         [&] { return buffers_.addresses().set_argument(kernel(), 0, buffer.device_start + buffer.offset(address)); });
  else must("clSetKernelArgSVMPointer", [&] { return clSetKernelArgSVMPointer(kernel(), 0, pointer(address)); });
}

// The kernel gets the addresses in memory, not as arguments. So tell the driver which allocations it may reach.
void Runtime::name_what_is_reached(cl::Kernel& kernel) {
  for (const auto& [usm, what] :
       {std::pair(false, CL_KERNEL_EXEC_INFO_SVM_PTRS), std::pair(true, CL_KERNEL_EXEC_INFO_USM_PTRS_INTEL)}) {
    const std::vector<void*> reached = buffers_.starts(usm);
    if (!reached.empty())
      must(usm ? "clSetKernelExecInfo USM_PTRS_INTEL" : "clSetKernelExecInfo SVM_PTRS", [&] {
        return clSetKernelExecInfo(kernel(), static_cast<cl_kernel_exec_info>(what), reached.size() * sizeof(void*),
                                   reached.data());
      });
  }
  if (!device_.svm.system) return;
  const cl_bool any = CL_TRUE;
  must("clSetKernelExecInfo SVM_FINE_GRAIN_SYSTEM",
       [&] { return clSetKernelExecInfo(kernel(), CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof any, &any); });
}

std::uint64_t Runtime::load(std::uintptr_t address) {
  const Use lane(*this);
  point_to(lane->load, address);
  cl_ulong value = 0;  // declared first: must outlive the commands, also after a failure
  Commands commands(lane->queue, watch_);
  commands.add("clEnqueueNDRangeKernel", one_of(lane->load));
  commands.add("clEnqueueReadBuffer", [&](cl_command_queue queue, auto... events) {
    return clEnqueueReadBuffer(queue, lane->results(), CL_FALSE, 0, sizeof value, &value, events...);
  });
  commands.wait(words_);
  return value;
}

void Runtime::store(std::uintptr_t address, std::uint64_t value) {
  const Use lane(*this);
  point_to(lane->store, address);
  set_argument(lane->store, 1, static_cast<cl_ulong>(value));
  Commands commands(lane->queue, watch_);
  commands.add("clEnqueueNDRangeKernel", one_of(lane->store));
  commands.wait(words_);
}

void Runtime::ordered(std::span<OrderedAccess> accesses) {
  const Use lane(*this);
  std::vector<cl_ulong> words;
  for (const OrderedAccess& access : accesses)
    words.insert(words.end(), {access.address, access.value, code_of(access), access.expected});
  std::vector<cl_ulong> results(accesses.size());
  set_argument(lane->ordered, 1, static_cast<cl_uint>(accesses.size()));
  name_what_is_reached(lane->ordered);
  Commands commands(lane->queue, watch_);
  commands.add("clEnqueueWriteBuffer", [&](cl_command_queue queue, auto... events) {
    return clEnqueueWriteBuffer(queue, lane->accesses(), CL_FALSE, 0, words.size() * sizeof(cl_ulong), words.data(), events...);
  });
  commands.add("clEnqueueNDRangeKernel", one_of(lane->ordered));
  commands.add("clEnqueueReadBuffer", [&](cl_command_queue queue, auto... events) {
    return clEnqueueReadBuffer(queue, lane->results(), CL_FALSE, 0, results.size() * sizeof(cl_ulong), results.data(), events...);
  });
  commands.wait(words_);
  for (std::size_t i = 0; i < accesses.size(); ++i)
    if (accesses[i].kind != OrderedAccess::Kind::store) accesses[i].value = results[i];
}

// A single command.
template <typename Enqueue>
void Runtime::command(const char* call, const Enqueue& enqueue) {
  const Use lane(*this);
  Commands commands(lane->queue, watch_);
  commands.add(call, enqueue);
  commands.wait(words_);
}

void Runtime::map(std::uintptr_t address, std::size_t bytes, Protection access) {
  const cl_map_flags flags = (access.read ? CL_MAP_READ : 0) | (access.write ? CL_MAP_WRITE : 0);
  const Buffer buffer = buffers_.at(address);
  if (buffer.backing != Backing::device_address)
    return command("clEnqueueSVMMap", [&](cl_command_queue queue, auto... events) {
      return clEnqueueSVMMap(queue, CL_FALSE, flags, pointer(address), bytes, events...);
    });
  const void* where = nullptr;
  command("clEnqueueMapBuffer", [&](cl_command_queue queue, auto... events) {
    cl_int error = CL_SUCCESS;
    where = clEnqueueMapBuffer(queue, (*buffer.memory)(), CL_FALSE, flags, buffer.offset(address), bytes, events..., &error);
    return error;
  });
  // With CL_MEM_USE_HOST_PTR, a map must return a pointer into the host memory.
  if (where != pointer(address)) throw cl::Error(CL_MAP_FAILURE, "clEnqueueMapBuffer: not where the memory of the host is");
}

void Runtime::unmap(std::uintptr_t address) {
  const Buffer buffer = buffers_.at(address);
  if (buffer.backing != Backing::device_address)
    return command("clEnqueueSVMUnmap",
                   [&](cl_command_queue queue, auto... events) { return clEnqueueSVMUnmap(queue, pointer(address), events...); });
  command("clEnqueueUnmapMemObject", [&](cl_command_queue queue, auto... events) {
    return clEnqueueUnmapMemObject(queue, (*buffer.memory)(), pointer(address), events...);
  });
}

void Runtime::copy(std::uintptr_t to, std::uintptr_t from, std::size_t bytes) {
  const Buffer target = buffers_.at(to), source = buffers_.at(from);
  if (is_usm(target.backing) || is_usm(source.backing))
    return command("clEnqueueMemcpyINTEL", [&](cl_command_queue queue, auto... events) {
      return buffers_.usm().copy(queue, CL_FALSE, pointer(to), pointer(from), bytes, events...);
    });
  if (target.backing == Backing::device_address)
    return command("clEnqueueCopyBuffer", [&](cl_command_queue queue, auto... events) {
      return clEnqueueCopyBuffer(queue, (*source.memory)(), (*target.memory)(), source.offset(from), target.offset(to), bytes,
                                 events...);
    });
  command("clEnqueueSVMMemcpy", [&](cl_command_queue queue, auto... events) {
    return clEnqueueSVMMemcpy(queue, CL_FALSE, pointer(to), pointer(from), bytes, events...);
  });
}

void Runtime::fill(std::uintptr_t address, std::uint64_t word) {
  const Buffer buffer = buffers_.at(address);
  if (is_usm(buffer.backing))
    return command("clEnqueueMemFillINTEL", [&](cl_command_queue queue, auto... events) {
      return buffers_.usm().fill(queue, pointer(address), &word, sizeof word, sizeof word, events...);
    });
  if (buffer.backing == Backing::device_address)
    return command("clEnqueueFillBuffer", [&](cl_command_queue queue, auto... events) {
      return clEnqueueFillBuffer(queue, (*buffer.memory)(), &word, sizeof word, buffer.offset(address), sizeof word, events...);
    });
  command("clEnqueueSVMMemFill", [&](cl_command_queue queue, auto... events) {
    return clEnqueueSVMMemFill(queue, pointer(address), &word, sizeof word, sizeof word, events...);
  });
}

void Runtime::migrate(std::uintptr_t address, std::size_t bytes, bool to_device) {
  const cl_mem_migration_flags flags = to_device ? 0 : CL_MIGRATE_MEM_OBJECT_HOST;
  const Buffer buffer = buffers_.at(address);
  if (is_usm(buffer.backing)) try {
      return command("clEnqueueMigrateMemINTEL", [&](cl_command_queue queue, auto... events) {
        return buffers_.usm().migrate(queue, pointer(address), bytes, flags, events...);
      });
    } catch (const cl::Error& error) {
      // A migration to the device has no flags. Before version 1.2.0 of the extension that is an error. It is only a hint.
      if (error.err() != CL_INVALID_VALUE || !to_device) throw;
      return;
    }
  if (buffer.backing == Backing::device_address)
    return command("clEnqueueMigrateMemObjects", [&](cl_command_queue queue, auto... events) {
      return clEnqueueMigrateMemObjects(queue, 1, &(*buffer.memory)(), flags, events...);
    });
  const void* start = pointer(address);
  command("clEnqueueSVMMigrateMem", [&](cl_command_queue queue, auto... events) {
    return clEnqueueSVMMigrateMem(queue, 1, &start, &bytes, flags, events...);
  });
}

}  // namespace faultline::opencl
