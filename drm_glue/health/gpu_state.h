// What sysfs and debugfs tell of the health of a GPU on PCI. Nothing here wakes one that sleeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace faultline {

struct GpuState {
  std::string bus;                         // "0000:03:00.0"
  std::string driver;                      // of the kernel; empty: none
  bool gone = false;                       // from the bus
  std::string power;                       // runtime_status_show(): "active", "suspended", "error" ...; empty: not told
  std::string dump;                        // "devcd3", of /sys/class/devcoredump; empty: none
  std::optional<std::uint64_t> vram_used;  // bytes; none: not told, or others use it too
};

GpuState gpu_state(const std::string& bus);

// How many devices of PCI a driver has.
std::size_t devices_of(const std::string& driver);

}  // namespace faultline
