// Drivers that end the process: by a crash in a function or in a thread of their own, or by exit().
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <thread>

#include "opencl_tests/layer/layer.h"

namespace faultline::layer {
namespace {

// Like an access through a null pointer to a structure.
volatile std::uintptr_t nowhere = 0x10;
void crash() { *reinterpret_cast<volatile int*>(nowhere) = 0; }

cl_int CL_API_CALL memcpy_crashing(cl_command_queue, cl_bool, void*, const void*, std::size_t, cl_uint, const cl_event*,
                                   cl_event*) {
  crash();
  return CL_SUCCESS;
}

cl_int CL_API_CALL memcpy_killed(cl_command_queue, cl_bool, void*, const void*, std::size_t, cl_uint, const cl_event*,
                                 cl_event*) {
  kill(getpid(), SIGKILL);
  return CL_SUCCESS;
}

cl_int CL_API_CALL nd_range_aborting(cl_command_queue, cl_kernel, cl_uint, const std::size_t*, const std::size_t*,
                                     const std::size_t*, cl_uint, const cl_event*, cl_event*) {
  std::abort();
}

cl_int CL_API_CALL fill_exiting(cl_command_queue, void*, const void*, std::size_t, std::size_t, cl_uint, const cl_event*,
                                cl_event*) {
  std::exit(3);
}

cl_context CL_API_CALL context_crashing(const cl_context_properties*, cl_uint, const cl_device_id*,
                                        void(CL_CALLBACK*)(const char*, const void*, std::size_t, void*), void*, cl_int*) {
  crash();
  return nullptr;
}

cl_int CL_API_CALL devices_crashing(cl_platform_id, cl_device_type, cl_uint, cl_device_id*, cl_uint*) {
  crash();
  return CL_SUCCESS;
}

// The caller waits for ever; another thread crashes.
[[noreturn]] void crash_elsewhere(bool blocked) {
  std::thread([blocked] {
    if (blocked) {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, nullptr);
    }
    crash();
  }).detach();
  for (;;) pause();
}

cl_int CL_API_CALL wait_for_a_crash(cl_uint, const cl_event*) { crash_elsewhere(false); }
cl_int CL_API_CALL wait_for_a_blocked_crash(cl_uint, const cl_event*) { crash_elsewhere(true); }

}  // namespace

const std::vector<Fault> crash_faults = {
    {"crash-in-copy", "a copy crashes", [](cl_icd_dispatch& table) { table.clEnqueueSVMMemcpy = memcpy_crashing; }},
    {"abort-in-launch", "the launch of a kernel aborts",
     [](cl_icd_dispatch& table) { table.clEnqueueNDRangeKernel = nd_range_aborting; }},
    {"exit-in-fill", "a fill calls exit()", [](cl_icd_dispatch& table) { table.clEnqueueSVMMemFill = fill_exiting; }},
    {"crash-in-context", "creating a context crashes", [](cl_icd_dispatch& table) { table.clCreateContext = context_crashing; }},
    {"crash-in-thread", "a thread of the driver crashes while it is waited for",
     [](cl_icd_dispatch& table) { table.clWaitForEvents = wait_for_a_crash; }},
    {"crash-in-blocked-thread", "... one that blocks all signals",
     [](cl_icd_dispatch& table) { table.clWaitForEvents = wait_for_a_blocked_crash; }},
    {"crash-when-listed", "the driver crashes when it is asked for its devices",
     [](cl_icd_dispatch& table) { table.clGetDeviceIDs = devices_crashing; }},
    {"killed-in-copy", "no fault of the driver: the process is killed while it copies",
     [](cl_icd_dispatch& table) { table.clEnqueueSVMMemcpy = memcpy_killed; }},
};

}  // namespace faultline::layer
