#include "opencl_tests/error.h"

#include <iterator>

namespace faultline::svm {
namespace {

struct Known {
  cl_int code;
  const char* name;
  const char* help;
};

constexpr Known known[] = {
    {CL_SUCCESS, "CL_SUCCESS", ""},
    {CL_DEVICE_NOT_FOUND, "CL_DEVICE_NOT_FOUND", "the platform offers no device of that type"},
    {CL_DEVICE_NOT_AVAILABLE, "CL_DEVICE_NOT_AVAILABLE", "the device is gone or taken: see clinfo and dmesg"},
    {CL_COMPILER_NOT_AVAILABLE, "CL_COMPILER_NOT_AVAILABLE", "the driver has no compiler for OpenCL C"},
    {CL_MEM_OBJECT_ALLOCATION_FAILURE, "CL_MEM_OBJECT_ALLOCATION_FAILURE", "less memory, or other programs ended"},
    {CL_OUT_OF_RESOURCES, "CL_OUT_OF_RESOURCES", "the device ran out of something, or a kernel faulted"},
    {CL_OUT_OF_HOST_MEMORY, "CL_OUT_OF_HOST_MEMORY", "less memory, or other programs ended"},
    {CL_PROFILING_INFO_NOT_AVAILABLE, "CL_PROFILING_INFO_NOT_AVAILABLE",
     "the queue needs CL_QUEUE_PROFILING_ENABLE, and the command to be complete"},
    {CL_MEM_COPY_OVERLAP, "CL_MEM_COPY_OVERLAP", "source and destination have to be apart"},
    {CL_BUILD_PROGRAM_FAILURE, "CL_BUILD_PROGRAM_FAILURE", "the build log says where"},
    {CL_MAP_FAILURE, "CL_MAP_FAILURE", "the region cannot be mapped into the host's addresses"},
    {CL_MISALIGNED_SUB_BUFFER_OFFSET, "CL_MISALIGNED_SUB_BUFFER_OFFSET",
     "origins are multiples of CL_DEVICE_MEM_BASE_ADDR_ALIGN"},
    {CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
     "a command that this one waits for failed"},
    {CL_INVALID_VALUE, "CL_INVALID_VALUE", "an argument is null, empty, or not one of those defined"},
    {CL_INVALID_PLATFORM, "CL_INVALID_PLATFORM", "the platform is not one that clGetPlatformIDs gave"},
    {CL_INVALID_DEVICE, "CL_INVALID_DEVICE", "the device is not one of the context's"},
    {CL_INVALID_CONTEXT, "CL_INVALID_CONTEXT", "the objects have to come from one context"},
    {CL_INVALID_QUEUE_PROPERTIES, "CL_INVALID_QUEUE_PROPERTIES", "the device has no such queue"},
    {CL_INVALID_COMMAND_QUEUE, "CL_INVALID_COMMAND_QUEUE", "the queue is not a valid host queue"},
    {CL_INVALID_HOST_PTR, "CL_INVALID_HOST_PTR", "a host pointer goes with CL_MEM_USE_HOST_PTR or COPY_HOST_PTR"},
    {CL_INVALID_MEM_OBJECT, "CL_INVALID_MEM_OBJECT", "the buffer is released, or of another context"},
    {CL_INVALID_BUILD_OPTIONS, "CL_INVALID_BUILD_OPTIONS", "the compiler does not know an option"},
    {CL_INVALID_PROGRAM_EXECUTABLE, "CL_INVALID_PROGRAM_EXECUTABLE", "the program is not built for this device"},
    {CL_INVALID_KERNEL_NAME, "CL_INVALID_KERNEL_NAME", "the program has no kernel of that name"},
    {CL_INVALID_KERNEL, "CL_INVALID_KERNEL", "the kernel is released"},
    {CL_INVALID_ARG_INDEX, "CL_INVALID_ARG_INDEX", "the kernel has fewer arguments"},
    {CL_INVALID_ARG_VALUE, "CL_INVALID_ARG_VALUE", "the argument is of another kind"},
    {CL_INVALID_ARG_SIZE, "CL_INVALID_ARG_SIZE", "the argument's type has another size"},
    {CL_INVALID_KERNEL_ARGS, "CL_INVALID_KERNEL_ARGS", "an argument was not set"},
    {CL_INVALID_WORK_DIMENSION, "CL_INVALID_WORK_DIMENSION", "there are 1 to 3 dimensions"},
    {CL_INVALID_WORK_GROUP_SIZE, "CL_INVALID_WORK_GROUP_SIZE", "the group has to divide the range and fit the device"},
    {CL_INVALID_GLOBAL_WORK_SIZE, "CL_INVALID_GLOBAL_WORK_SIZE", "the range is empty or too large"},
    {CL_INVALID_EVENT_WAIT_LIST, "CL_INVALID_EVENT_WAIT_LIST", "an event of the list is not valid"},
    {CL_INVALID_EVENT, "CL_INVALID_EVENT", "the event is released"},
    {CL_INVALID_OPERATION, "CL_INVALID_OPERATION", "the device lacks that level of shared virtual memory"},
    {CL_INVALID_BUFFER_SIZE, "CL_INVALID_BUFFER_SIZE", "the size is 0, or beyond the allocation or the device"},
    {CL_INVALID_PROPERTY, "CL_INVALID_PROPERTY", "the driver does not know a property"},
    {CL_PLATFORM_NOT_FOUND_KHR, "CL_PLATFORM_NOT_FOUND_KHR",
     "install a driver, such as pocl-opencl-icd, or see that OCL_ICD_VENDORS names one"},
};

const Known* find(cl_int code) {
  for (const Known& each : known)
    if (each.code == code) return &each;
  return nullptr;
}

std::string text(const std::string& call, cl_int code, const std::string& detail) {
  std::string result = call + ": " + error_name(code);
  const Known* entry = find(code);
  if (entry && *entry->help) result += std::string(" (") + entry->help + ")";
  if (!detail.empty()) result += "\n" + detail;
  return result;
}

}  // namespace

std::string error_name(cl_int code) {
  const Known* entry = find(code);
  return entry ? entry->name : "OpenCL error " + std::to_string(code);
}

Error::Error(const std::string& call, cl_int code, const std::string& detail)
    : std::runtime_error(text(call, code, detail)), call_(call), code_(code) {}

void check(const char* call, cl_int code) {
  if (code != CL_SUCCESS) throw Error(call, code);
}

std::string status_name(cl_int status) {
  switch (status) {
    case CL_QUEUED: return "queued";
    case CL_SUBMITTED: return "submitted";
    case CL_RUNNING: return "running";
    case CL_COMPLETE: return "complete";
  }
  return status < 0 ? "failed: " + error_name(status) : "status " + std::to_string(status);
}

}  // namespace faultline::svm
