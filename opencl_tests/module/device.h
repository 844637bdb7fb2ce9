// Platforms and devices behind the ICD loader, their properties, and contexts.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "opencl_tests/error.h"
#include "opencl_tests/module/handle.h"

namespace faultline::svm {

class Device {
 public:
  explicit Device(cl_device_id id) : id_(id) {}

  cl_device_id id() const { return id_; }
  std::string text(cl_device_info what) const;
  // A number of any width, zero-extended. Throws if the device does not know the query.
  cl_ulong number(cl_device_info what) const;
  // The same, but 0 if the device does not know the query: for capabilities of later versions.
  cl_ulong bits(cl_device_info what) const;
  bool has_extension(const std::string& name) const;
  // Names of __opencl_c_ features (clGetDeviceInfo: CL_DEVICE_OPENCL_C_FEATURES).
  std::vector<std::string> features() const;

 private:
  cl_device_id id_;
};

struct Platform {
  cl_platform_id id;
  std::string text(cl_platform_info what) const;
  std::vector<Device> devices() const;
};

// Empty if the loader finds no driver.
std::vector<Platform> platforms();

class Context {
 public:
  explicit Context(std::vector<Device> devices);
  cl_context get() const { return handle_.get(); }
  const std::vector<Device>& devices() const { return devices_; }

  // Programs built for this context, by source and options.
  std::map<std::pair<std::string, std::string>, ProgramHandle> programs;

 private:
  std::vector<Device> devices_;
  ContextHandle handle_;
};

}  // namespace faultline::svm
