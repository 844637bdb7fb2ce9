// Devices that are gone or stuck: for tests of what the bench says about them.
#include <unistd.h>

#include <atomic>
#include <string>

#include "opencl_tests/layer/layer.h"

namespace faultline::layer {
namespace {

cl_program CL_API_CALL not_building(cl_context context, cl_uint count, const char** texts, const std::size_t* lengths,
                                    cl_int* code) {
  return with_source(context, count, texts, lengths, code, "#error \"this compiler is out of order\"\n");
}

// The target's store kernel (kernels/cell.cl) waits for a value that nobody writes.
constexpr char endless_store[] = R"(
#define store_cell store_cell(global volatile ulong* cell, ulong value) { while (*cell != ~value) {} } \
    kernel void store_cell_that_ends
)";

cl_program CL_API_CALL hanging(cl_context context, cl_uint count, const char** texts, const std::size_t* lengths, cl_int* code) {
  return with_source(context, count, texts, lengths, code, endless_store);
}

// Plays a busy machine.
constexpr unsigned slow_seconds = 3;

cl_program CL_API_CALL slowly(cl_context context, cl_uint count, const char** texts, const std::size_t* lengths, cl_int* code) {
  sleep(slow_seconds);
  return next.clCreateProgramWithSource(context, count, texts, lengths, code);
}

// Some kernels run before the device is unplugged.
constexpr int runs_before_loss = 30;
std::atomic<int> runs;

cl_int CL_API_CALL nd_range_until_lost(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const std::size_t* offset,
                                       const std::size_t* global, const std::size_t* local, cl_uint count, const cl_event* list,
                                       cl_event* event) {
  if (++runs > runs_before_loss) return CL_DEVICE_NOT_AVAILABLE;
  return next.clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, global, local, count, list, event);
}

void* CL_API_CALL no_allocation(cl_context, cl_svm_mem_flags, std::size_t, cl_uint) { return nullptr; }

}  // namespace

const std::vector<Fault> device_faults = {
    {"no-compiler", "no kernel builds", [](cl_icd_dispatch& table) { table.clCreateProgramWithSource = not_building; }},
    {"slow-compiler", "no fault: a kernel takes seconds to build",
     [](cl_icd_dispatch& table) { table.clCreateProgramWithSource = slowly; }},
    {"hung-kernel", "a kernel never ends", [](cl_icd_dispatch& table) { table.clCreateProgramWithSource = hanging; }},
    {"lost-device", "the device is gone after some kernels",
     [](cl_icd_dispatch& table) { table.clEnqueueNDRangeKernel = nd_range_until_lost; }},
    {"no-memory", "the device has no memory left", [](cl_icd_dispatch& table) { table.clSVMAlloc = no_allocation; }},
};

}  // namespace faultline::layer
