// The OpenCL devices of this machine, as the ICD loader has them.
#pragma once

#include <string>
#include <vector>

#include "harness/target.h"
#include "opencl_tests/extensions.h"

namespace faultline::opencl {

// CL_DEVICE_SVM_CAPABILITIES.
struct SvmLevels {
  bool coarse = false;   // buffers that are handed over by map and unmap
  bool fine = false;     // buffers that both sides use at byte granularity
  bool system = false;   // any pointer
  bool atomics = false;  // atomics across devices and the host, in fine-grained memory
  friend bool operator==(const SvmLevels&, const SvmLevels&) = default;
};

struct Device {
  std::string platform;       // short: "pocl", "rusticl"; what a target is named by
  std::string platform_name;  // CL_PLATFORM_NAME
  int platform_index = 0;     // of clGetPlatformIDs
  int index = 0;              // of clGetDeviceIDs
  std::string name;           // CL_DEVICE_NAME
  std::string version;        // CL_DEVICE_VERSION
  std::string driver;         // CL_DRIVER_VERSION
  bool cpu = false;           // CL_DEVICE_TYPE_CPU: it walks the CPU's page tables
  SvmLevels svm;
  UsmAccess usm_host, usm_shared, usm_device;  // cl_intel_unified_shared_memory
  Addresses addresses = Addresses::none;
  bool out_of_order = false;  // has queues that are
  std::string bus;            // of PCI (cl_khr_pci_bus_info): "0000:03:00.0"; empty: not told
  friend bool operator==(const Device&, const Device&) = default;

  bool has_usm() const { return usm_host.access || usm_shared.access || usm_device.access; }
  std::string target() const { return "opencl:" + platform + "/" + std::to_string(index); }
};

struct DeviceList {
  std::vector<Device> devices;
  // Why there are none, or what is wrong with a driver; a line each, with what would help.
  std::vector<std::string> troubles;
  bool crashed = false;  // a driver did, when it was asked for its devices: there are none, of any driver
};

// Asks in a child process, so that the calling one never loads a driver (threads of a driver would not
// survive the forks of an executor), and a driver that crashes or hangs is only a trouble.
DeviceList list_devices();

// The short name of a platform: "Portable Computing Language" with suffix "POCL" is "pocl", "rusticl" stays.
std::string short_name(const std::string& platform_name, const std::string& icd_suffix);

}  // namespace faultline::opencl
