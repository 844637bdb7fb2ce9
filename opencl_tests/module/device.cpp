#include "opencl_tests/module/device.h"

#include <cstring>

namespace faultline::svm {
namespace {

// Makes both queries of clGet*Info: for the size, then for the text. Drops the final zero.
template <typename Get>
std::string text_of(const char* call, Get get) {
  std::size_t size = 0;
  check(call, get(0, nullptr, &size));
  std::string text(size, '\0');
  check(call, get(size, text.data(), nullptr));
  while (!text.empty() && text.back() == '\0') text.pop_back();
  return text;
}

}  // namespace

std::string Device::text(cl_device_info what) const {
  return text_of("clGetDeviceInfo", [&](std::size_t size, void* value, std::size_t* needed) {
    return clGetDeviceInfo(id_, what, size, value, needed);
  });
}

cl_ulong Device::number(cl_device_info what) const {
  cl_ulong value = 0;
  check("clGetDeviceInfo", clGetDeviceInfo(id_, what, sizeof value, &value, nullptr));
  return value;
}

cl_ulong Device::bits(cl_device_info what) const {
  cl_ulong value = 0;
  return clGetDeviceInfo(id_, what, sizeof value, &value, nullptr) == CL_SUCCESS ? value : 0;
}

bool Device::has_extension(const std::string& name) const {
  const std::string all = " " + text(CL_DEVICE_EXTENSIONS) + " ";
  return all.find(" " + name + " ") != std::string::npos;
}

std::vector<std::string> Device::features() const {
  std::size_t size = 0;
  if (clGetDeviceInfo(id_, CL_DEVICE_OPENCL_C_FEATURES, 0, nullptr, &size) != CL_SUCCESS) return {};
  std::vector<cl_name_version> entries(size / sizeof(cl_name_version));
  check("clGetDeviceInfo", clGetDeviceInfo(id_, CL_DEVICE_OPENCL_C_FEATURES, size, entries.data(), nullptr));
  std::vector<std::string> names;
  for (const cl_name_version& entry : entries) names.emplace_back(entry.name, strnlen(entry.name, sizeof entry.name));
  return names;
}

std::string Platform::text(cl_platform_info what) const {
  return text_of("clGetPlatformInfo", [&](std::size_t size, void* value, std::size_t* needed) {
    return clGetPlatformInfo(id, what, size, value, needed);
  });
}

std::vector<Device> Platform::devices() const {
  cl_uint count = 0;
  const cl_int code = clGetDeviceIDs(id, CL_DEVICE_TYPE_ALL, 0, nullptr, &count);
  if (code == CL_DEVICE_NOT_FOUND) return {};
  check("clGetDeviceIDs", code);
  std::vector<cl_device_id> ids(count);
  check("clGetDeviceIDs", clGetDeviceIDs(id, CL_DEVICE_TYPE_ALL, count, ids.data(), nullptr));
  return {ids.begin(), ids.end()};
}

std::vector<Platform> platforms() {
  cl_uint count = 0;
  const cl_int code = clGetPlatformIDs(0, nullptr, &count);
  if (code == CL_PLATFORM_NOT_FOUND_KHR) return {};
  check("clGetPlatformIDs", code);
  std::vector<cl_platform_id> ids(count);
  check("clGetPlatformIDs", clGetPlatformIDs(count, ids.data(), nullptr));
  std::vector<Platform> all;
  for (cl_platform_id id : ids) all.push_back({id});
  return all;
}

Context::Context(std::vector<Device> devices) : devices_(std::move(devices)) {
  std::vector<cl_device_id> ids;
  for (const Device& device : devices_) ids.push_back(device.id());
  cl_int code = CL_SUCCESS;
  handle_ = ContextHandle(clCreateContext(nullptr, static_cast<cl_uint>(ids.size()), ids.data(), nullptr, nullptr, &code));
  check("clCreateContext", code);
}

}  // namespace faultline::svm
