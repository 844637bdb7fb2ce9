#include "opencl_tests/device_list.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "harness/driver_call.h"
#include "harness/in_child.h"
#include "harness/shared.h"
#include "opencl_tests/commands.h"

namespace faultline {

void to_json(nlohmann::json& object, const UsmAccess& usm) {
  for (const UsmCapability& row : usm_table) object[std::string(row.name)] = usm.*row.member;
}

void from_json(const nlohmann::json& object, UsmAccess& usm) {
  for (const UsmCapability& row : usm_table) object.at(std::string(row.name)).get_to(usm.*row.member);
}

}  // namespace faultline

namespace faultline::opencl {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(SvmLevels, coarse, fine, system, atomics)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Device, platform, platform_name, platform_index, index, name, version, driver, cpu, svm,
                                   usm_host, usm_shared, usm_device, addresses, out_of_order, bus)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DeviceList, devices, troubles, crashed)

namespace {

using nlohmann::json;

constexpr int platform_not_found = -1001;  // CL_PLATFORM_NOT_FOUND_KHR

// Where the loader looks for *.icd files: a folder, or one file, from OCL_ICD_VENDORS if set.
std::string vendors() {
  const char* own = std::getenv("OCL_ICD_VENDORS");
  return own && *own ? own : "/etc/OpenCL/vendors";
}

std::vector<std::string> icd_files() {
  const std::string where = vendors();
  if (where.ends_with(".icd")) return {where};
  std::vector<std::string> files;
  if (DIR* folder = opendir(where.c_str())) {
    while (const dirent* entry = readdir(folder))
      if (const std::string name = entry->d_name; name.ends_with(".icd")) files.push_back(where + "/" + name);
    closedir(folder);
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The loader silently skips a driver that it cannot load, so check here.
std::vector<std::string> broken_drivers() {
  std::vector<std::string> troubles;
  for (const std::string& file : icd_files()) {
    std::ifstream in(file);
    std::string library;
    if (!std::getline(in, library) || library.empty()) {
      troubles.push_back(file + ": cannot be read, or names no library: reinstall the driver that it belongs to");
      continue;
    }
    if (!in_driver("dlopen", [&] { return dlopen(library.c_str(), RTLD_LAZY | RTLD_LOCAL); }))
      troubles.push_back(file + ": " + dlerror() + ": reinstall this driver, or remove the file");
  }
  return troubles;
}

UsmAccess usm_access(const cl::Device& device, cl_device_info kind) {
  cl_device_unified_shared_memory_capabilities_intel can = 0;
  must("clGetDeviceInfo of unified shared memory", [&] { return clGetDeviceInfo(device(), kind, sizeof can, &can, nullptr); });
  return {(can & CL_UNIFIED_SHARED_MEMORY_ACCESS_INTEL) != 0, (can & CL_UNIFIED_SHARED_MEMORY_ATOMIC_ACCESS_INTEL) != 0,
          (can & CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ACCESS_INTEL) != 0,
          (can & CL_UNIFIED_SHARED_MEMORY_CONCURRENT_ATOMIC_ACCESS_INTEL) != 0};
}

std::string pci_bus(const cl::Device& device) {
  cl_device_pci_bus_info_khr info{};
  must("clGetDeviceInfo of the PCI bus",
       [&] { return clGetDeviceInfo(device(), CL_DEVICE_PCI_BUS_INFO_KHR, sizeof info, &info, nullptr); });
  char text[32];
  std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", info.pci_domain, info.pci_bus, info.pci_device, info.pci_function);
  return text;
}

// A device without CL_DEVICE_EXTENSIONS_WITH_VERSION has an older OpenCL, or neither extension.
void describe_extensions(const cl::Device& device, Device& result) {
  std::size_t bytes = 0;
  if (clGetDeviceInfo(device(), CL_DEVICE_EXTENSIONS_WITH_VERSION, 0, nullptr, &bytes) != CL_SUCCESS) return;
  std::vector<cl_name_version> extensions(bytes / sizeof(cl_name_version));
  must("clGetDeviceInfo",
       [&] { return clGetDeviceInfo(device(), CL_DEVICE_EXTENSIONS_WITH_VERSION, bytes, extensions.data(), nullptr); });
  for (const cl_name_version& extension : extensions) {
    const std::string name = extension.name;
    if (name == "cl_intel_unified_shared_memory") {
      result.usm_host = usm_access(device, CL_DEVICE_HOST_MEM_CAPABILITIES_INTEL);
      result.usm_shared = usm_access(device, CL_DEVICE_SINGLE_DEVICE_SHARED_MEM_CAPABILITIES_INTEL);
      result.usm_device = usm_access(device, CL_DEVICE_DEVICE_MEM_CAPABILITIES_INTEL);
    } else if (name == "cl_ext_buffer_device_address") {
      if (extension.version == draft_addresses) result.addresses = Addresses::draft;
      if (extension.version >= final_addresses) result.addresses = Addresses::final;
    } else if (name == "cl_khr_pci_bus_info") {
      result.bus = pci_bus(device);
    }
  }
}

Device describe(const cl::Platform& platform, int platform_index, const cl::Device& device, int index) {
  Device result;
  result.platform_name = platform.getInfo<CL_PLATFORM_NAME>();
  std::string suffix;
  if (platform.getInfo(CL_PLATFORM_ICD_SUFFIX_KHR, &suffix) != CL_SUCCESS) suffix.clear();
  result.platform = short_name(result.platform_name, suffix);
  result.platform_index = platform_index;
  result.index = index;
  result.name = device.getInfo<CL_DEVICE_NAME>();
  result.version = device.getInfo<CL_DEVICE_VERSION>();
  result.driver = device.getInfo<CL_DRIVER_VERSION>();
  result.cpu = (device.getInfo<CL_DEVICE_TYPE>() & CL_DEVICE_TYPE_CPU) != 0;
  cl_device_svm_capabilities svm = 0;  // a device of OpenCL 1 does not know this query
  if (clGetDeviceInfo(device(), CL_DEVICE_SVM_CAPABILITIES, sizeof svm, &svm, nullptr) != CL_SUCCESS) svm = 0;
  result.svm = {(svm & CL_DEVICE_SVM_COARSE_GRAIN_BUFFER) != 0, (svm & CL_DEVICE_SVM_FINE_GRAIN_BUFFER) != 0,
                (svm & CL_DEVICE_SVM_FINE_GRAIN_SYSTEM) != 0, (svm & CL_DEVICE_SVM_ATOMICS) != 0};
  describe_extensions(device, result);
  result.out_of_order = (device.getInfo<CL_DEVICE_QUEUE_PROPERTIES>() & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE) != 0;
  return result;
}

DeviceList ask() {
  DeviceList list;
  list.troubles = broken_drivers();
  std::vector<cl::Platform> platforms;
  try {
    in_driver("clGetPlatformIDs", [&] { cl::Platform::get(&platforms); });
  } catch (const cl::Error& error) {
    if (error.err() != platform_not_found) list.troubles.push_back(text_of(error));
  }
  for (std::size_t p = 0; p < platforms.size(); ++p) try {
      std::vector<cl::Device> devices;
      try {
        in_driver("clGetDeviceIDs", [&] { platforms[p].getDevices(CL_DEVICE_TYPE_ALL, &devices); });
      } catch (const cl::Error& error) {
        if (error.err() != CL_DEVICE_NOT_FOUND) throw;
      }
      for (std::size_t d = 0; d < devices.size(); ++d)
        list.devices.push_back(in_driver(
            "clGetDeviceInfo", [&] { return describe(platforms[p], static_cast<int>(p), devices[d], static_cast<int>(d)); }));
    } catch (const cl::Error& error) {
      list.troubles.push_back("platform " + std::to_string(p) + ": " + text_of(error));
    }
  if (platforms.empty() && list.troubles.empty())
    list.troubles.push_back("no OpenCL driver is installed (" + vendors() +
                            " has no *.icd file): apt-get install pocl-opencl-icd");
  else if (list.devices.empty() && list.troubles.empty())
    list.troubles.push_back("the OpenCL drivers here find no device; clinfo says more (apt-get install clinfo)");
  return list;
}

DeviceList only_trouble(const std::string& what) {
  return {{}, {what + "; OCL_ICD_VENDORS=/etc/OpenCL/vendors/NAME.icd leaves all drivers but one out"}};
}

// Asks the drivers in a child. If the child dies, the function of the driver in which it died is known.
class Question {
 public:
  // `only`: the *.icd file of the only driver to ask; empty: ask all.
  ChildAnswer ask(std::chrono::milliseconds patience, const std::string& only = "") {
    return in_child(
        [&] {
          DriverCall::keep_in(*function_);
          if (!only.empty()) setenv("OCL_ICD_VENDORS", only.c_str(), 1);
          return json(opencl::ask()).dump(-1, ' ', false, json::error_handler_t::replace);
        },
        patience);
  }

  // How a driver ended the last child; empty: no driver did.
  std::string crash(const ChildAnswer& answer) const {
    const char* const function = function_->load();
    if (answer.error != 0 || answer.late || !function) return {};
    if (WIFEXITED(answer.status))
      return std::string("ended the process that asked it for its devices, with status ") +
             std::to_string(WEXITSTATUS(answer.status)) + " in " + function;
    if (WTERMSIG(answer.status) == SIGKILL) return {};  // from outside: the OOM killer or a person
    return std::string("crashed when it was asked for its devices: SIG") + sigabbrev_np(WTERMSIG(answer.status)) + " in " +
           function;
  }

 private:
  const Shared<std::atomic<const char*>> function_;
};

// Finds the driver that crashed, by asking each one alone.
DeviceList crashed(Question& question, const std::string& how, std::chrono::milliseconds patience) {
  DeviceList list{.crashed = true};
  for (const std::string& file : icd_files())
    if (const std::string alone = question.crash(question.ask(patience, file)); !alone.empty())
      list.troubles.push_back(
          "the OpenCL driver of " + file + " " + alone +
          "; would help: another version of it, or another driver alone (OCL_ICD_VENDORS=/etc/OpenCL/vendors/NAME.icd)");
  if (list.troubles.empty()) list.troubles = only_trouble("an OpenCL driver " + how).troubles;
  return list;
}

}  // namespace

std::string short_name(const std::string& platform_name, const std::string& icd_suffix) {
  const bool one_word = platform_name.find(' ') == std::string::npos;
  std::string result;
  for (const char c : one_word || icd_suffix.empty() ? platform_name : icd_suffix)
    result += std::isalnum(static_cast<unsigned char>(c)) ? static_cast<char>(std::tolower(static_cast<unsigned char>(c))) : '-';
  return result;
}

DeviceList list_devices() {
  constexpr std::chrono::seconds patience{30};
  Question question;
  const ChildAnswer answer = question.ask(patience);
  if (answer.error != 0) return only_trouble(std::string("no process to ask for devices: ") + strerror(answer.error));
  if (answer.late)
    return only_trouble("an OpenCL driver did not say in " + std::to_string(patience.count()) + " s which devices it has");
  if (const std::string how = question.crash(answer); !how.empty()) return crashed(question, how, patience);
  if (WIFSIGNALED(answer.status))
    return only_trouble(std::string("the process that asks for OpenCL devices was ended by SIG") +
                        sigabbrev_np(WTERMSIG(answer.status)));
  const json list = json::parse(answer.text, nullptr, false);
  if (list.is_discarded()) return only_trouble("the process that asks for OpenCL devices ended without an answer");
  return list.get<DeviceList>();
}

}  // namespace faultline::opencl
