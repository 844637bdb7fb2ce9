#include "opencl_tests/extensions.h"

#include "opencl_tests/commands.h"

namespace faultline::opencl {
namespace {

// The registry's values (enums.5000 of cl.xml).
constexpr cl_mem_properties CL_MEM_DEVICE_PRIVATE_ADDRESS_EXT = 0x5000;
constexpr cl_mem_info CL_MEM_DEVICE_ADDRESS_EXT = 0x5001;
// The draft's values: a flag of clCreateBuffer, and the query for the address.
constexpr cl_mem_flags draft_CL_MEM_DEVICE_ADDRESS_EXT = 1ul << 31;
constexpr cl_mem_info draft_CL_MEM_DEVICE_PTR_EXT = 0xff01;

template <typename Function>
void find(cl_platform_id platform, const char* name, Function& function) {
  function = reinterpret_cast<Function>(in_driver("clGetExtensionFunctionAddressForPlatform",
                                                  [&] { return clGetExtensionFunctionAddressForPlatform(platform, name); }));
  if (!function) throw cl::Error(CL_INVALID_OPERATION, name);
}

}  // namespace

UsmCalls::UsmCalls(cl_platform_id platform) {
  find(platform, "clHostMemAllocINTEL", host_alloc);
  find(platform, "clSharedMemAllocINTEL", shared_alloc);
  find(platform, "clDeviceMemAllocINTEL", device_alloc);
  find(platform, "clMemFreeINTEL", free);
  find(platform, "clSetKernelArgMemPointerINTEL", set_argument);
  find(platform, "clEnqueueMemFillINTEL", fill);
  find(platform, "clEnqueueMemcpyINTEL", copy);
  find(platform, "clEnqueueMigrateMemINTEL", migrate);
}

AddressCalls::AddressCalls(cl_platform_id platform, Addresses revision) : revision_(revision) {
  find(platform, "clSetKernelArgDevicePointerEXT", set_argument);
}

cl::Buffer AddressCalls::create(const cl::Context& context, std::size_t bytes, void* memory) const {
  constexpr cl_mem_flags flags = CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR;
  if (revision_ == Addresses::draft)
    return in_driver("clCreateBuffer",
                     [&] { return cl::Buffer(context, flags | draft_CL_MEM_DEVICE_ADDRESS_EXT, bytes, memory); });
  const cl_mem_properties properties[] = {CL_MEM_DEVICE_PRIVATE_ADDRESS_EXT, CL_TRUE, 0};
  cl_mem buffer = nullptr;
  must("clCreateBufferWithProperties", [&] {
    cl_int error = CL_SUCCESS;
    buffer = clCreateBufferWithProperties(context(), properties, flags, bytes, memory, &error);
    return error;
  });
  return cl::Buffer(buffer);
}

// The query gives one address per device of the context. Our context has one device.
cl_ulong AddressCalls::address_of(const cl::Buffer& buffer) const {
  cl_ulong address = 0;
  const cl_mem_info what = revision_ == Addresses::draft ? draft_CL_MEM_DEVICE_PTR_EXT : CL_MEM_DEVICE_ADDRESS_EXT;
  must("clGetMemObjectInfo of a device address",
       [&] { return clGetMemObjectInfo(buffer(), what, sizeof address, &address, nullptr); });
  return address;
}

}  // namespace faultline::opencl
