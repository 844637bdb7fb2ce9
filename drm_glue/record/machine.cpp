#include "drm_glue/record/machine.h"

#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "drm_glue/gpus/ask.h"

namespace faultline::record {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kfd = "/sys/devices/virtual/kfd/kfd";
constexpr const char* uevent_keys[] = {"MAJOR",       "MINOR",           "DEVTYPE",        "PCI_CLASS",
                                       "PCI_ID",      "PCI_SUBSYS_ID",   "PCI_SLOT_NAME",  "MODALIAS",
                                       "OF_FULLNAME", "OF_COMPATIBLE_N", "OF_COMPATIBLE_0"};
constexpr const char* attributes[] = {
    "dev", "vendor", "device", "subsystem_vendor", "subsystem_device", "revision", "class", "power/runtime_status"};
constexpr const char* topology_files[] = {"gpu_id", "name", "properties", "generation_id", "system_properties"};
constexpr const char* config_options[] = {
    "CONFIG_DRM_NOUVEAU", "CONFIG_DRM_NOUVEAU_SVM",      "CONFIG_DRM_AMDGPU",  "CONFIG_DRM_AMDGPU_USERPTR", "CONFIG_HSA_AMD",
    "CONFIG_HSA_AMD_SVM", "CONFIG_DEVICE_PRIVATE",       "CONFIG_ZONE_DEVICE", "CONFIG_HMM_MIRROR",         "CONFIG_MMU_NOTIFIER",
    "CONFIG_MIGRATION",   "CONFIG_TRANSPARENT_HUGEPAGE", "CONFIG_STAGING"};

template <class Names>
bool contains(const Names& names, const std::string& name) {
  return std::ranges::find(names, name) != std::end(names);
}

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) found.push_back(at->path());
  std::ranges::sort(found);
  return found;
}

// A small file; empty if it cannot be read.
std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  return text.substr(0, 65536);
}

std::string link(const fs::path& path) {
  std::error_code none;
  return fs::read_symlink(path, none);
}

// Escapes so that g_strcompress() undoes it.
std::string escaped(const std::string& text) {
  std::string result;
  for (const unsigned char each : text) {
    char octal[8];
    std::snprintf(octal, sizeof octal, "\\%03o", each);
    if (each == '\\' || each < 0x20 || each > 0x7e) result += octal;
    else result += static_cast<char>(each);
  }
  return result;
}

void add_attribute(std::string& text, const fs::path& device, const std::string& name) {
  std::error_code none;
  if (fs::is_regular_file(device / name, none)) text += "A: " + name + "=" + escaped(contents(device / name)) + "\n";
}

// Blanks out the chip's serial number.
std::string without_unique_id(const std::string& properties) {
  std::string result;
  for (std::size_t from = 0; from < properties.size();) {
    const std::size_t end = std::min(properties.find('\n', from), properties.size() - 1) + 1;
    const std::string line = properties.substr(from, end - from);
    result += line.starts_with("unique_id ") ? "unique_id 0\n" : line;
    from = end;
  }
  return result;
}

void add_topology(std::string& text, const fs::path& folder, int depth = 0) {
  for (const fs::path& path : entries(folder)) {
    std::error_code none;
    if (fs::is_directory(path, none) && depth < 5) add_topology(text, path, depth + 1);
    else if (contains(topology_files, path.filename()))
      text += "A: " + path.string().substr(kfd.size() + 1) + "=" + escaped(without_unique_id(contents(path))) + "\n";
  }
}

// One device. `node`: its name under /dev; empty: it has none.
std::string describe(const fs::path& device, const std::string& node) {
  std::string text = "P: " + device.string().substr(std::string("/sys").size()) + "\n";
  if (!node.empty()) text += "N: " + node + "\nE: DEVNAME=/dev/" + node + "\n";
  text += "E: SUBSYSTEM=" + fs::path(link(device / "subsystem")).filename().string() + "\n";
  std::ifstream uevent(device / "uevent");
  for (std::string line; std::getline(uevent, line);)
    if (contains(uevent_keys, line.substr(0, line.find('=')))) text += "E: " + line + "\n";
  for (const std::string name : {"driver", "device"})
    if (const std::string target = link(device / name); !target.empty()) text += "L: " + name + "=" + target + "\n";
  for (const char* name : attributes) add_attribute(text, device, name);
  if (device == kfd) add_topology(text, device / "topology");
  return text + "\n";
}

// card0, renderD128 ... in /dev/dri.
std::vector<std::string> drm_nodes() {
  std::vector<std::string> names;
  for (const fs::path& path : entries("/dev/dri"))
    if (const std::string name = path.filename(); name.starts_with("card") || name.starts_with("renderD")) names.push_back(name);
  return names;
}

bool of_a_gpu(const fs::path& pci) {
  const unsigned long base = std::strtoul(first_line(pci / "class").c_str(), nullptr, 0) >> 16;
  return base == 0x03 || base == 0x12;  // PCI_BASE_CLASS_DISPLAY, accelerators
}

std::string describe_devices() {
  std::error_code none;
  std::set<std::string> parents;
  std::string text, nodes;
  for (const fs::path& path : entries("/sys/bus/pci/devices"))
    if (of_a_gpu(path)) parents.insert(fs::canonical(path, none));
  for (const std::string& name : drm_nodes()) {
    const fs::path device = fs::canonical("/sys/class/drm/" + name, none);
    if (device.empty()) continue;
    parents.insert(fs::canonical(device / "device", none));
    nodes += describe(device, "dri/" + name);
  }
  for (const std::string& each : parents)
    if (each.starts_with("/sys/devices/")) text += describe(each, "");
  text += nodes;
  if (fs::is_directory(kfd, none)) text += describe(kfd, fs::exists("/dev/kfd", none) ? "kfd" : "");
  return text;
}

json describe_nodes() {
  json nodes = json::object();
  std::vector<std::string> paths = {"/dev/kfd"};
  for (const std::string& name : drm_nodes()) paths.push_back("/dev/dri/" + name);
  for (const std::string& path : paths) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) continue;
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", status.st_mode & 07777);
    nodes[path] = {{"mode", mode}, {"group", group_name(status.st_gid)}};
  }
  return nodes;
}

json describe_parameters() {
  json all = json::object();
  for (const std::string module : {"amdgpu", "nouveau"})
    for (const fs::path& path : entries("/sys/module/" + module + "/parameters")) all[module][path.filename()] = contents(path);
  return all;
}

json describe_configuration() {
  const KernelConfig config = KernelConfig::read();
  json all;
  if (config.known())
    for (const char* option : config_options) all[option] = config.value(option);
  return all;
}

}  // namespace

json describe_machine() {
  utsname kernel{};
  uname(&kernel);
  return {{"kernel", {{"release", kernel.release}, {"version", kernel.version}, {"machine", kernel.machine}}},
          {"devices", describe_devices()},
          {"nodes", describe_nodes()},
          {"parameters", describe_parameters()},
          {"kernel_config", describe_configuration()}};
}

}  // namespace faultline::record
