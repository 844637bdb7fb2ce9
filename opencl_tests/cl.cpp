#include "opencl_tests/cl.h"

#include "harness/driver_call.h"
#include "opencl_tests/device_list.h"
#include "opencl_tests/error.h"

namespace faultline::opencl {

std::string text_of(const cl::Error& error) { return svm::Error(error.what(), error.err()).what(); }

cl::Device find(const Device& wanted) {
  std::vector<cl::Platform> platforms;
  in_driver("clGetPlatformIDs", [&] { cl::Platform::get(&platforms); });
  const auto platform = static_cast<std::size_t>(wanted.platform_index), device = static_cast<std::size_t>(wanted.index);
  std::vector<cl::Device> devices;
  if (platform < platforms.size())
    in_driver("clGetDeviceIDs", [&] { platforms[platform].getDevices(CL_DEVICE_TYPE_ALL, &devices); });
  if (device >= devices.size()) throw cl::Error(CL_DEVICE_NOT_AVAILABLE, "clGetDeviceIDs");
  return devices[device];
}

}  // namespace faultline::opencl
