// opencl-bench: the cost of the bench on an OpenCL device, and how fast the device faults pages in.
//
//   launches: single stores through the target's handle, as the executor makes them; compared with a bare loop that
//             makes the same OpenCL calls without checks
//   waited, ran: the time of these stores from submission to start and from start to end, according to the driver
//   storm:    kernels touch cold pages in random order; compared with a CPU loop over as many cold pages in the same
//             order. The memory is the process's own if the device reaches any memory, else a fine-grained buffer
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include "harness/times.h"
#include "opencl_tests/cl.h"
#include "opencl_tests/device_list.h"
#include "opencl_tests/target.h"

namespace faultline::opencl {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t page_bytes = 4096;
constexpr std::uint32_t storm_pages = 32 * 1024;  // 128 MiB
constexpr std::uint32_t launch_pages = 256;       // pages of one kernel of the storm
constexpr int launches = 4000;
constexpr int rounds = 5;  // of all measurements in turn; the best round counts

constexpr const char* cell_source =
#include "opencl_tests/kernels/cell.inc"
    ;
constexpr const char* storm_source =
#include "opencl_tests/kernels/storm.inc"
    ;

double seconds(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

cl::Program built(const cl::Context& context, const char* source) {
  cl::Program program(context, source);
  program.build();
  return program;
}

// Collects the driver's times of the bench's commands.
struct Times : DriverWords {
  void failed(std::string_view words) override { printf("  failed: %.*s\n", static_cast<int>(words.size()), words.data()); }
  void waits(std::string_view) override {}
  void ran(std::uint64_t queued, std::uint64_t submitted, std::uint64_t started, std::uint64_t ended) override {
    all.note(queued, submitted, started, ended);
  }
  void print(const char* what, const Durations& durations) const {
    printf("  %-13s median %.1f us, 99 %% below %.1f, longest %.1f\n", what, us(durations.quantile(0.5)),
           us(durations.quantile(0.99)), us(durations.longest_ns));
  }
  static double us(std::uint64_t ns) { return static_cast<double>(ns) / 1e3; }
  CommandTimes all;
};

void measure_launches(const Device& device, const cl::Context& context) {
  Times times;
  OpenClTarget target(device);
  target.speak_to(&times);
  const std::unique_ptr<DeviceHandle> handle = target.open(0);
  const cl::CommandQueue queue(context);
  const cl::Program program = built(context, cell_source);
  cl::Kernel store(program, "store_cell");
  void* const cell = clSVMAlloc(context(), CL_MEM_READ_WRITE, page_bytes, 0);
  void* const cell_of_handle = handle->svm()->allocate(page_bytes, Backing::svm_coarse);
  double bare = 1e9, bench = 1e9;
  for (int round = 0; round < rounds; ++round) {
    bare = std::min(bare, seconds([&] {
                      for (int i = 0; i < launches; ++i) {
                        clSetKernelArgSVMPointer(store(), 0, cell);
                        store.setArg(1, static_cast<cl_ulong>(i));
                        queue.enqueueNDRangeKernel(store, cl::NullRange, cl::NDRange(1));
                        queue.finish();
                      }
                    }));
    bench = std::min(bench, seconds([&] {
                       for (int i = 0; i < launches; ++i)
                         handle->store(reinterpret_cast<std::uintptr_t>(cell_of_handle), static_cast<std::uint64_t>(i));
                     }));
  }
  handle->svm()->free(cell_of_handle);
  times.print("waited", times.all.waited);
  times.print("ran", times.all.ran);
  if (times.all.disordered > 0)
    printf("  out of order  the times of %llu commands\n", static_cast<unsigned long long>(times.all.disordered));
  clSVMFree(context(), cell);
  printf("  launches      bench %8.0f a second, bare loop %8.0f: ratio %.2f\n", launches / bench, launches / bare, bare / bench);
}

// Cold memory; freed at the end.
class Memory {
 public:
  Memory(const cl::Context& context, bool any) : context_(context), any_(any) {
    address_ = any ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                   : clSVMAlloc(context(), CL_MEM_READ_WRITE | CL_MEM_SVM_FINE_GRAIN_BUFFER, bytes, 0);
    if (!address_ || address_ == MAP_FAILED) throw cl::Error(CL_OUT_OF_HOST_MEMORY, "memory for the storm");
    madvise(address_, bytes, MADV_NOHUGEPAGE);
  }
  ~Memory() { any_ ? void(munmap(address_, bytes)) : clSVMFree(context_(), address_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void* get() const { return address_; }

 private:
  static constexpr std::size_t bytes = storm_pages * page_bytes;
  const cl::Context& context_;
  const bool any_;
  void* address_;
};

double us_of(const cl::Event& event) {
  return static_cast<double>(event.getProfilingInfo<CL_PROFILING_COMMAND_END>() -
                             event.getProfilingInfo<CL_PROFILING_COMMAND_START>()) /
         1e3;
}

void measure_storm(const Device& device, const cl::Context& context) {
  std::vector<cl_uint> pages(storm_pages);
  std::iota(pages.begin(), pages.end(), 0u);
  std::shuffle(pages.begin(), pages.end(), std::mt19937(1));
  const cl::CommandQueue queue(context, cl::QueueProperties::Profiling);
  const cl::Program program = built(context, storm_source);
  cl::Kernel storm(program, "storm");
  const cl::Buffer order(context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, pages.size() * sizeof(cl_uint), pages.data());
  storm.setArg(1, order);
  storm.setArg(3, static_cast<cl_ulong>(page_bytes));
  const bool any = device.svm.system;
  double on_device = 1e9, on_cpu = 1e9;
  std::vector<double> us;
  for (int round = 0; round < rounds; ++round) {
    {
      const Memory memory(context, any);
      clSetKernelArgSVMPointer(storm(), 0, memory.get());
      std::vector<cl::Event> events(storm_pages / launch_pages);
      on_device = std::min(on_device, seconds([&] {
                             for (std::uint32_t i = 0; i < events.size(); ++i) {
                               storm.setArg(2, i * launch_pages);
                               queue.enqueueNDRangeKernel(storm, cl::NullRange, cl::NDRange(launch_pages), cl::NullRange, nullptr,
                                                          &events[i]);
                             }
                             queue.finish();
                           }));
      for (const cl::Event& event : events) us.push_back(us_of(event) / launch_pages);
      for (std::uint32_t page = 0; page < storm_pages; ++page)
        if (*reinterpret_cast<std::uint64_t*>(static_cast<char*>(memory.get()) + page * page_bytes) != page + 1)
          throw cl::Error(CL_INVALID_VALUE, "the storm left a page without its value");
    }
    const Memory memory(context, any);
    on_cpu = std::min(on_cpu, seconds([&] {
                        for (const cl_uint page : pages)
                          *reinterpret_cast<volatile std::uint64_t*>(static_cast<char*>(memory.get()) + page * page_bytes) =
                              page + 1;
                      }));
  }
  std::sort(us.begin(), us.end());
  const auto quantile = [&us](double q) { return us[static_cast<std::size_t>(q * static_cast<double>(us.size() - 1))]; };
  printf("  storm         device %7.0f pages a second, a loop of the CPU %7.0f: ratio %.2f (%s)\n", storm_pages / on_device,
         storm_pages / on_cpu, on_cpu / on_device, any ? "memory of the process" : "fine-grained buffer");
  printf("  us a page     by kernels of %u pages: median %.2f, 90 %% below %.2f, 99 %% %.2f, slowest %.2f\n", launch_pages,
         quantile(0.5), quantile(0.9), quantile(0.99), us.back());
}

int measure(const Device& device) {
  printf("%s: %s, driver %s\n", device.target().c_str(), device.name.c_str(), device.driver.c_str());
  try {
    const cl::Context context(find(device));
    measure_launches(device, context);
    measure_storm(device, context);
  } catch (const cl::Error& error) {
    printf("  failed: %s\n", text_of(error).c_str());
    return 4;
  }
  return 0;
}

}  // namespace
}  // namespace faultline::opencl

int main() {
  using namespace faultline::opencl;
  const DeviceList list = list_devices();
  for (const std::string& trouble : list.troubles) fprintf(stderr, "opencl-bench: %s\n", trouble.c_str());
  int result = 3;  // 3: nothing was measured
  for (const Device& device : list.devices) {
    if (!device.svm.fine) continue;
    // A process can have one Runtime only, so each device gets a process.
    const pid_t child = fork();
    if (child == 0) {
      const int code = measure(device);
      fflush(stdout);
      _exit(code);
    }
    int status = 0;
    waitpid(child, &status, 0);
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 4;
    if (code != 0 || result == 3) result = code;
  }
  return result;
}
