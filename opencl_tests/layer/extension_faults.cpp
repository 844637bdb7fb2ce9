// Faults of extensions, whose functions an application asks for by name.
#include <cstring>

#include "opencl_tests/layer/layer.h"

#include <CL/cl_ext.h>

namespace faultline::layer {
namespace {

// lost-usm: copies and fills of unified shared memory take their time and do nothing.
cl_int CL_API_CALL copy_nothing(cl_command_queue queue, cl_bool, void*, const void*, std::size_t, cl_uint count,
                                const cl_event* list, cl_event* event) {
  return next.clEnqueueMarkerWithWaitList(queue, count, list, event);
}

cl_int CL_API_CALL fill_nothing(cl_command_queue queue, void*, const void*, std::size_t, std::size_t, cl_uint count,
                                const cl_event* list, cl_event* event) {
  return next.clEnqueueMarkerWithWaitList(queue, count, list, event);
}

void* CL_API_CALL function_of_usm_lost(cl_platform_id platform, const char* name) {
  if (std::strcmp(name, "clEnqueueMemcpyINTEL") == 0) return reinterpret_cast<void*>(copy_nothing);
  if (std::strcmp(name, "clEnqueueMemFillINTEL") == 0) return reinterpret_cast<void*>(fill_nothing);
  return next.clGetExtensionFunctionAddressForPlatform(platform, name);
}

}  // namespace

const std::vector<Fault> extension_faults = {
    {"lost-usm", "copies and fills of unified shared memory do nothing",
     [](cl_icd_dispatch& table) { table.clGetExtensionFunctionAddressForPlatform = function_of_usm_lost; }},
};

}  // namespace faultline::layer
