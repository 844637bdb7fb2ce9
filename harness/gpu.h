// What is told of a GPU. drm_glue/gpus asks for it, on whatever machine; agents send it, reports print it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace faultline {

using Settings = std::vector<std::pair<std::string, std::string>>;  // name, value

struct GpuSvm {
  bool recoverable = false;          // its faults are resolved while its queues run
  bool preempt_and_restore = false;  // its queues are stopped while a mapping changes
  std::string why_not;               // more than that
  std::string help;                  // what would change it; empty: nothing that is known
  friend bool operator==(const GpuSvm&, const GpuSvm&) = default;
};

struct Gpu {
  std::string render_node;               // "/dev/dri/renderD128"; empty: no driver of DRM has it
  std::string card_node;                 // empty: none
  std::string bus;                       // "0000:03:00.0"
  std::uint16_t vendor = 0, device = 0;  // of PCI; 0: not on PCI
  std::uint8_t revision = 0;
  std::string driver, driver_version;  // of the kernel; empty: not told
  std::string chip;
  std::optional<std::uint64_t> vram;  // bytes
  Settings firmware;
  Settings parameters;     // of the driver's module, those that matter to SVM
  Settings configuration;  // of the kernel, likewise
  std::string resets;
  std::string power;         // of runtime PM, before it was asked: "active", "suspended" ...; empty: not told
  std::uint32_t kfd_id = 0;  // gpu_id of KFD's topology; 0: KFD does not drive it
  GpuSvm svm;
  std::vector<std::string> unknown;  // what the kernel did not tell, and its error
  friend bool operator==(const Gpu&, const Gpu&) = default;
};

struct GpuList {
  std::vector<Gpu> gpus;
  std::string why_none;  // where there is none
  friend bool operator==(const GpuList&, const GpuList&) = default;
};

// For a program: an array with an object for each. A device's words may be no UTF-8: dump() them with replacements.
nlohmann::json gpus_json(const GpuList& list);
// Of what gpus_json() gave; throws nlohmann::json::exception.
std::vector<Gpu> parse_gpus(const nlohmann::json& array);

}  // namespace faultline
