#include "opencl_tests/runtime.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
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

cl::Program build(const cl::Context& context, const cl::Device& device, const char* source, const char* options) {
  cl::Program program(context, source);
  try {
    program.build({device}, options);
  } catch (const cl::BuildError& error) {
    throw BuildError("a kernel does not build: " + text_of(error) + "\n" +
                     program.getBuildInfo<CL_PROGRAM_BUILD_LOG>(device));
  }
  return program;
}

// The scope of all devices is a feature of OpenCL C 3.0 that PoCL 3.1 has and does not name.
constexpr const char* with_all_devices_scope = "-cl-std=CL3.0 -D__opencl_c_atomic_scope_all_devices=1";

void must(cl_int error, const char* call) {
  if (error != CL_SUCCESS) throw cl::Error(error, call);
}

void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

// As kernels/ordered.cl reads it.
cl_ulong code_of(const OrderedAccess& access) {
  return 8 * (static_cast<cl_ulong>(access.order) - static_cast<cl_ulong>(Order::relaxed)) + static_cast<cl_ulong>(access.kind);
}

}  // namespace

Lane::Lane(const cl::Context& context, const cl::Device& device, const cl::Program& cells, const cl::Program* orders)
    : queue(context, device),
      load(cells, "load_cell"),
      store(cells, "store_cell"),
      accesses(context, CL_MEM_READ_ONLY, limits::operations * words_of_an_access * sizeof(cl_ulong)),
      results(context, CL_MEM_WRITE_ONLY, limits::operations * sizeof(cl_ulong)) {
  load.setArg(1, results);
  if (!orders) return;
  ordered = cl::Kernel(*orders, "ordered");
  ordered.setArg(0, accesses);
  ordered.setArg(2, results);
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

Runtime::Runtime(const Device& device)
    : svm_(device.svm), device_(find(device)), context_(device_), cells_(build(context_, device_, cell_source, "")) {
  if (svm_.atomics) orders_ = build(context_, device_, ordered_source, with_all_devices_scope);
  give_back(take());  // what is made once is made now
}

Runtime* Runtime::of_this_process(const Device& device, DriverWords* words) {
  static Runtime* only = nullptr;  // never deleted: the process is killed
  static pid_t owner = 0;
  if (owner != 0) {
    if (owner == getpid() && only) return only;
    errno = owner == getpid() ? EIO : ENOTSUP;
    return nullptr;
  }
  owner = getpid();
  try {
    return only = new Runtime(device);
  } catch (const cl::Error& error) {
    if (words) words->failed(text_of(error));
  } catch (const std::exception& error) {
    if (words) words->failed(error.what());
  }
  errno = EIO;
  return nullptr;
}

std::unique_ptr<Lane> Runtime::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Lane> lane = std::move(idle_.back());
      idle_.pop_back();
      return lane;
    }
  }
  return std::make_unique<Lane>(context_, device_, cells_, orders_ ? &*orders_ : nullptr);
}

void Runtime::give_back(std::unique_ptr<Lane> lane) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(lane));
}

std::vector<void*> Runtime::buffers() {
  const std::lock_guard lock(mutex_);
  return {buffers_.begin(), buffers_.end()};
}

std::uint64_t Runtime::load(std::uintptr_t address) {
  const Use lane(*this);
  must(clSetKernelArgSVMPointer(lane->load(), 0, pointer(address)), "clSetKernelArgSVMPointer");
  lane->queue.enqueueNDRangeKernel(lane->load, cl::NullRange, cl::NDRange(1));
  cl_ulong value = 0;
  lane->queue.enqueueReadBuffer(lane->results, CL_TRUE, 0, sizeof value, &value);
  return value;
}

void Runtime::store(std::uintptr_t address, std::uint64_t value) {
  const Use lane(*this);
  must(clSetKernelArgSVMPointer(lane->store(), 0, pointer(address)), "clSetKernelArgSVMPointer");
  lane->store.setArg(1, static_cast<cl_ulong>(value));
  lane->queue.enqueueNDRangeKernel(lane->store, cl::NullRange, cl::NDRange(1));
  lane->queue.finish();
}

void Runtime::ordered(std::span<OrderedAccess> accesses) {
  const Use lane(*this);
  std::vector<cl_ulong> words;
  for (const OrderedAccess& access : accesses)
    words.insert(words.end(), {access.address, access.value, code_of(access), access.expected});
  lane->queue.enqueueWriteBuffer(lane->accesses, CL_FALSE, 0, words.size() * sizeof(cl_ulong), words.data());
  lane->ordered.setArg(1, static_cast<cl_uint>(accesses.size()));
  // The addresses are not among the arguments: the driver must be told what they may be in.
  std::vector<void*> reached = buffers();
  if (!reached.empty())
    must(clSetKernelExecInfo(lane->ordered(), CL_KERNEL_EXEC_INFO_SVM_PTRS, reached.size() * sizeof(void*), reached.data()),
         "clSetKernelExecInfo SVM_PTRS");
  if (svm_.system) {
    const cl_bool any = CL_TRUE;
    must(clSetKernelExecInfo(lane->ordered(), CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM, sizeof any, &any),
         "clSetKernelExecInfo SVM_FINE_GRAIN_SYSTEM");
  }
  lane->queue.enqueueNDRangeKernel(lane->ordered, cl::NullRange, cl::NDRange(1));
  std::vector<cl_ulong> results(accesses.size());
  lane->queue.enqueueReadBuffer(lane->results, CL_TRUE, 0, results.size() * sizeof(cl_ulong), results.data());
  for (std::size_t i = 0; i < accesses.size(); ++i)
    if (accesses[i].kind != OrderedAccess::Kind::store) accesses[i].value = results[i];
}

void* Runtime::allocate(std::size_t bytes, bool fine) {
  const cl_svm_mem_flags shared = CL_MEM_SVM_FINE_GRAIN_BUFFER | (svm_.atomics ? CL_MEM_SVM_ATOMICS : 0);
  void* const buffer = clSVMAlloc(context_(), CL_MEM_READ_WRITE | (fine ? shared : 0), bytes, 0);
  const std::lock_guard lock(mutex_);
  if (buffer) buffers_.insert(buffer);
  return buffer;
}

void Runtime::free(void* buffer) {
  {
    const std::lock_guard lock(mutex_);
    buffers_.erase(buffer);
  }
  clSVMFree(context_(), buffer);
}

void Runtime::map(std::uintptr_t address, std::size_t bytes, Protection access) {
  const Use lane(*this);
  const cl_map_flags flags = (access.read ? CL_MAP_READ : 0) | (access.write ? CL_MAP_WRITE : 0);
  must(clEnqueueSVMMap(lane->queue(), CL_TRUE, flags, pointer(address), bytes, 0, nullptr, nullptr), "clEnqueueSVMMap");
}

void Runtime::unmap(std::uintptr_t address) {
  const Use lane(*this);
  must(clEnqueueSVMUnmap(lane->queue(), pointer(address), 0, nullptr, nullptr), "clEnqueueSVMUnmap");
  lane->queue.finish();
}

void Runtime::copy(std::uintptr_t to, std::uintptr_t from, std::size_t bytes) {
  const Use lane(*this);
  must(clEnqueueSVMMemcpy(lane->queue(), CL_TRUE, pointer(to), pointer(from), bytes, 0, nullptr, nullptr),
       "clEnqueueSVMMemcpy");
}

void Runtime::fill(std::uintptr_t address, std::uint64_t word) {
  const Use lane(*this);
  must(clEnqueueSVMMemFill(lane->queue(), pointer(address), &word, sizeof word, sizeof word, 0, nullptr, nullptr),
       "clEnqueueSVMMemFill");
  lane->queue.finish();
}

void Runtime::migrate(std::uintptr_t address, std::size_t bytes, bool to_device) {
  const Use lane(*this);
  const void* start = pointer(address);
  must(clEnqueueSVMMigrateMem(lane->queue(), 1, &start, &bytes, to_device ? 0 : CL_MIGRATE_MEM_OBJECT_HOST, 0, nullptr,
                              nullptr), "clEnqueueSVMMigrateMem");
  lane->queue.finish();
}

}  // namespace faultline::opencl
