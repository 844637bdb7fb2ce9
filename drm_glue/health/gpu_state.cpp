#include "drm_glue/health/gpu_state.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

namespace faultline {
namespace {

namespace fs = std::filesystem;

const std::string devices = "/sys/bus/pci/devices/";

std::string first_word(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

std::string link_name(const std::string& path) {
  std::error_code none;
  return fs::read_symlink(path, none).filename();
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename());
  std::ranges::sort(names);
  return names;
}

// The config space of a dead device reads as all ones. So does that of a device in D3cold, and pci_read_config() would
// wake it: skip sleeping devices.
bool is_gone(const std::string& device, const std::string& power) {
  std::error_code error;
  if (!fs::exists(device, error) && !error) return true;
  if (power == "suspended" || power == "suspending") return false;
  std::ifstream file(device + "/config", std::ios::binary);
  const int low = file.get(), high = file.get();
  return low == 0xff && high == 0xff;
}

// Whether other processes have a node of the device open. drm_clients_info() prints the command in the first 20 columns,
// then the pid. True if that cannot be read.
bool others_use(const std::string& device) {
  for (const std::string& name : names_in(device + "/drm")) {
    if (!name.starts_with("card")) continue;
    std::ifstream file("/sys/kernel/debug/dri/" + name.substr(4) + "/clients");
    std::string line;
    if (!std::getline(file, line)) return true;  // the heading
    constexpr std::size_t command = 20;
    while (std::getline(file, line))
      if (line.size() > command && std::strtol(line.c_str() + command, nullptr, 10) != getpid()) return true;
    return false;
  }
  return true;
}

}  // namespace

GpuState gpu_state(const std::string& bus) {
  const std::string device = devices + bus;
  GpuState state{.bus = bus,
                 .driver = link_name(device + "/driver"),
                 .power = first_word(device + "/power/runtime_status"),
                 .dump = link_name(device + "/devcoredump")};
  state.gone = is_gone(device, state.power);
  // amdgpu_mem_info_vram_used_show()
  if (const std::string used = first_word(device + "/mem_info_vram_used"); !used.empty() && !others_use(device))
    state.vram_used = std::strtoull(used.c_str(), nullptr, 10);
  return state;
}

std::size_t devices_of(const std::string& driver) {
  return static_cast<std::size_t>(std::ranges::count_if(
      names_in(devices), [&](const std::string& bus) { return link_name(devices + bus + "/driver") == driver; }));
}

}  // namespace faultline
