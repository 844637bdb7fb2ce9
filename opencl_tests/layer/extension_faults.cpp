// Faults of extensions: an application asks for their functions by name. Also a newer version of an extension (no fault).
#include <cstdlib>
#include <cstring>
#include <string>

#include "opencl_tests/layer/layer.h"

#include <CL/cl_ext.h>

namespace faultline::layer {
namespace {

// lost-usm: copies and fills of unified shared memory do nothing, but wait for their events.
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

// final-addresses: version 1.0.2 of cl_ext_buffer_device_address on top of PoCL 6's draft (opencl_tests/extensions.*), with
// device addresses that differ from the host's.
constexpr cl_ulong apart = cl_ulong{1} << 44;
cl_int(CL_API_CALL* set_address)(cl_kernel, cl_uint, cl_ulong);

cl_int CL_API_CALL device_info_final(cl_device_id device, cl_device_info what, std::size_t size, void* value,
                                     std::size_t* needed) {
  const cl_int code = next.clGetDeviceInfo(device, what, size, value, needed);
  if (code != CL_SUCCESS || what != CL_DEVICE_EXTENSIONS_WITH_VERSION || !value) return code;
  auto* extensions = static_cast<cl_name_version*>(value);
  for (std::size_t i = 0; i < size / sizeof *extensions; ++i)
    if (std::string(extensions[i].name) == "cl_ext_buffer_device_address") extensions[i].version = CL_MAKE_VERSION(1, 0, 2);
  return code;
}

cl_mem CL_API_CALL buffer_with_address(cl_context context, const cl_mem_properties* properties, cl_mem_flags flags,
                                       std::size_t size, void* host, cl_int* code) {
  if (!properties || properties[0] != 0x5000 || properties[1] != CL_TRUE || properties[2] != 0) {
    *code = CL_INVALID_PROPERTY;
    return nullptr;
  }
  return next.clCreateBuffer(context, flags | cl_mem_flags{1} << 31, size, host, code);
}

cl_int CL_API_CALL memory_info_with_address(cl_mem memory, cl_mem_info what, std::size_t size, void* value, std::size_t* needed) {
  if (what != 0x5001) return what == 0xff01 ? CL_INVALID_VALUE : next.clGetMemObjectInfo(memory, what, size, value, needed);
  const cl_int code = next.clGetMemObjectInfo(memory, 0xff01, size, value, needed);
  if (code == CL_SUCCESS) *static_cast<cl_ulong*>(value) += apart;
  return code;
}

cl_int CL_API_CALL set_address_apart(cl_kernel kernel, cl_uint index, cl_ulong address) {
  return set_address(kernel, index, address - apart);
}

void* CL_API_CALL function_with_address(cl_platform_id platform, const char* name) {
  void* const function = next.clGetExtensionFunctionAddressForPlatform(platform, name);
  if (std::strcmp(name, "clSetKernelArgDevicePointerEXT") != 0 || !function) return function;
  set_address = reinterpret_cast<decltype(set_address)>(function);
  return reinterpret_cast<void*>(set_address_apart);
}

// on-a-bus: the device claims to be the GPU at 0000:N:00.0 (cl_khr_pci_bus_info); N comes from FAULTLINE_OPENCL_BUS.
cl_int CL_API_CALL device_info_on_a_bus(cl_device_id device, cl_device_info what, std::size_t size, void* value,
                                        std::size_t* needed) {
  if (what == CL_DEVICE_PCI_BUS_INFO_KHR) {
    const char* bus = std::getenv("FAULTLINE_OPENCL_BUS");
    const cl_uint number = bus ? static_cast<cl_uint>(std::atoi(bus)) : 0;
    *static_cast<cl_device_pci_bus_info_khr*>(value) = {.pci_domain = 0, .pci_bus = number, .pci_device = 0, .pci_function = 0};
    return CL_SUCCESS;
  }
  if (what != CL_DEVICE_EXTENSIONS_WITH_VERSION) return next.clGetDeviceInfo(device, what, size, value, needed);
  std::size_t bytes = 0;
  if (const cl_int code = next.clGetDeviceInfo(device, what, 0, nullptr, &bytes)) return code;
  std::vector<cl_name_version> extensions(bytes / sizeof(cl_name_version) + 1);
  if (const cl_int code = next.clGetDeviceInfo(device, what, bytes, extensions.data(), nullptr)) return code;
  extensions.back().version = CL_MAKE_VERSION(1, 0, 0);
  std::strcpy(extensions.back().name, "cl_khr_pci_bus_info");
  bytes += sizeof(cl_name_version);
  if (needed) *needed = bytes;
  if (value && size < bytes) return CL_INVALID_VALUE;
  if (value) std::memcpy(value, extensions.data(), bytes);
  return CL_SUCCESS;
}

}  // namespace

const std::vector<Fault> extension_faults = {
    {"lost-usm", "copies and fills of unified shared memory do nothing",
     [](cl_icd_dispatch& table) { table.clGetExtensionFunctionAddressForPlatform = function_of_usm_lost; }},
    {"final-addresses", "no fault: a newer version of buffer device addresses",
     [](cl_icd_dispatch& table) {
       table.clGetDeviceInfo = device_info_final;
       table.clCreateBufferWithProperties = buffer_with_address;
       table.clGetMemObjectInfo = memory_info_with_address;
       table.clGetExtensionFunctionAddressForPlatform = function_with_address;
     }},
    {"on-a-bus", "no fault: a device that is a GPU's",
     [](cl_icd_dispatch& table) { table.clGetDeviceInfo = device_info_on_a_bus; }},
};

}  // namespace faultline::layer
