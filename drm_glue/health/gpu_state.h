// The health of a GPU on PCI, from sysfs and debugfs. Nothing here wakes a sleeping GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace faultline {

struct GpuState {
  std::string bus;                         // "0000:03:00.0"
  std::string driver;                      // kernel driver; empty: none
  bool gone = false;                       // from the bus
  std::string power;                       // runtime_status_show(): "active", "suspended", "error" ...; empty: not told
  std::string dump;                        // "devcd3", in /sys/class/devcoredump; empty: none
  std::optional<std::uint64_t> vram_used;  // bytes; nothing: unknown, or other processes use the GPU too
};

GpuState gpu_state(const std::string& bus);

// How many PCI devices the driver has.
std::size_t devices_of(const std::string& driver);

}  // namespace faultline
