// Extensions of OpenCL: entry points, because the ICD loader does not export them, and names that the headers of Debian 12
// lack.
#pragma once

#include "opencl_tests/cl.h"

namespace faultline::opencl {

// cl_intel_unified_shared_memory.
struct UsmCalls {
  explicit UsmCalls(cl_platform_id platform);  // throws if an entry point is missing
  clHostMemAllocINTEL_fn host_alloc;
  clSharedMemAllocINTEL_fn shared_alloc;
  clDeviceMemAllocINTEL_fn device_alloc;
  clMemFreeINTEL_fn free;
  clSetKernelArgMemPointerINTEL_fn set_argument;
  clEnqueueMemFillINTEL_fn fill;
  clEnqueueMemcpyINTEL_fn copy;
  clEnqueueMigrateMemINTEL_fn migrate;
};

// cl_ext_buffer_device_address. PoCL 6 implements the draft as version 0.1.0 (cl_ext_pocl.h in its sources). The final
// version begins with 1.0.2, which passes the address by value. The versions in between differ from both.
enum class Addresses { none, draft, final };
inline constexpr cl_version draft_addresses = CL_MAKE_VERSION(0, 1, 0), final_addresses = CL_MAKE_VERSION(1, 0, 2);

class AddressCalls {
 public:
  AddressCalls(cl_platform_id platform, Addresses revision);  // throws if an entry point is missing

  // A buffer over page-aligned host memory. Its device address does not change as long as it lives.
  cl::Buffer create(const cl::Context& context, std::size_t bytes, void* memory) const;
  cl_ulong address_of(const cl::Buffer& buffer) const;
  cl_int(CL_API_CALL* set_argument)(cl_kernel kernel, cl_uint index, cl_ulong address);  // clSetKernelArgDevicePointerEXT

 private:
  Addresses revision_;
};

}  // namespace faultline::opencl
