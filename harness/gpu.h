// What the bench knows about a GPU. drm_glue/gpus collects it on the GPU's machine, agents send it, and reports print it.
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
  bool recoverable = false;          // the driver resolves its faults while its queues run
  bool preempt_and_restore = false;  // the driver stops its queues while a mapping changes
  std::string why_not;               // why it has no more SVM than that
  std::string help;                  // what would change that; empty: nothing known
  friend bool operator==(const GpuSvm&, const GpuSvm&) = default;
};

struct Gpu {
  std::string render_node;               // "/dev/dri/renderD128"; empty: no DRM driver is bound to it
  std::string card_node;                 // empty: none
  std::string bus;                       // "0000:03:00.0"
  std::uint16_t vendor = 0, device = 0;  // PCI ids; 0: not on PCI
  std::uint8_t revision = 0;
  std::string driver, driver_version;  // kernel driver; empty: unknown
  std::string chip;
  std::optional<std::uint64_t> vram;  // bytes
  Settings firmware;
  Settings parameters;     // parameters of the driver's module that matter to SVM
  Settings configuration;  // kernel options that matter to SVM
  std::string resets;
  std::string power;         // runtime PM state before the bench queried the GPU: "active", "suspended" ...; empty: unknown
  std::uint32_t kfd_id = 0;  // gpu_id in KFD's topology; 0: KFD does not drive it
  GpuSvm svm;
  std::vector<std::string> unknown;  // queries that the kernel did not answer, with the error
  friend bool operator==(const Gpu&, const Gpu&) = default;
};

struct GpuList {
  std::vector<Gpu> gpus;
  std::string why_none;  // set when the list is empty
  friend bool operator==(const GpuList&, const GpuList&) = default;
};

// An array with one object for each GPU. Strings of a device may not be UTF-8, so dump() must replace invalid bytes.
nlohmann::json gpus_json(const GpuList& list);
// Parses what gpus_json() made. Throws nlohmann::json::exception.
std::vector<Gpu> parse_gpus(const nlohmann::json& array);

}  // namespace faultline
