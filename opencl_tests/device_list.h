// The OpenCL devices of this machine that the ICD loader offers.
#pragma once

#include <string>
#include <vector>

#include "harness/target.h"
#include "opencl_tests/extensions.h"

namespace faultline::opencl {

// CL_DEVICE_SVM_CAPABILITIES.
struct SvmLevels {
  bool coarse = false;   // map and unmap hand buffers over
  bool fine = false;     // both sides use buffers at once, at byte granularity
  bool system = false;   // any pointer
  bool atomics = false;  // atomics across devices and the host, in fine-grained memory
  friend bool operator==(const SvmLevels&, const SvmLevels&) = default;
};

struct Device {
  std::string platform;       // short name, used in target names: "pocl", "rusticl"
  std::string platform_name;  // CL_PLATFORM_NAME
  int platform_index = 0;     // in clGetPlatformIDs
  int index = 0;              // in clGetDeviceIDs
  std::string name;           // CL_DEVICE_NAME
  std::string version;        // CL_DEVICE_VERSION
  std::string driver;         // CL_DRIVER_VERSION
  bool cpu = false;           // CL_DEVICE_TYPE_CPU: uses the CPU's page tables
  SvmLevels svm;
  UsmAccess usm_host, usm_shared, usm_device;  // cl_intel_unified_shared_memory
  Addresses addresses = Addresses::none;
  bool out_of_order = false;  // has out-of-order queues
  std::string bus;            // PCI bus id (cl_khr_pci_bus_info): "0000:03:00.0"; empty: unknown
  friend bool operator==(const Device&, const Device&) = default;

  bool has_usm() const { return usm_host.access || usm_shared.access || usm_device.access; }
  std::string target() const { return "opencl:" + platform + "/" + std::to_string(index); }
};

struct DeviceList {
  std::vector<Device> devices;
  // Why there are no devices, or what is wrong with a driver. Each line also says what would help.
  std::vector<std::string> troubles;
  bool crashed = false;  // a driver crashed when it was asked for its devices; then there are no devices of any driver
};

// Asks in a child process, so that this process never loads a driver: a driver's threads would not survive the executor's
// forks. And so a driver that crashes or hangs is only an entry of `troubles`.
DeviceList list_devices();

// The short name of a platform: "Portable Computing Language" with the suffix "POCL" becomes "pocl", "rusticl" stays.
std::string short_name(const std::string& platform_name, const std::string& icd_suffix);

}  // namespace faultline::opencl
