#include "drm_glue/health/gpu_log.h"

#include <cctype>

namespace faultline {
namespace {

using Kind = GpuLine::Kind;

struct Pattern {
  const char* driver;  // empty: any
  const char* first;
  const char* then;  // somewhere after `first`
  Kind kind;
  const char* what;
};

constexpr const char* hung = "hung";
constexpr const char* no_reset = "could not be reset";

// The first match counts.
constexpr Pattern patterns[] = {
    // amdgpu_job_timedout()
    {"amdgpu", "ring ", " timeout, but soft recovered", Kind::hung, "hung, and went on without a reset"},
    {"amdgpu", "ring ", " timeout, signaled seq=", Kind::hung, hung},
    {"amdgpu", "GPU Recovery Failed: ", "", Kind::broken, no_reset},
    {"amdgpu", "device unplugged skipping recovery on scheduler", "", Kind::gone, "is gone"},
    // amdgpu_device_gpu_recover()
    {"amdgpu", "GPU reset begin!", "", Kind::reset, "is being reset"},
    {"amdgpu", "GPU reset(", ") succeeded!", Kind::reset, "was reset"},
    {"amdgpu", "GPU reset(", ") failed", Kind::broken, no_reset},
    {"amdgpu", "GPU reset end with ret = ", "", Kind::broken, no_reset},
    // amdgpu_do_asic_reset()
    {"amdgpu", "VRAM is lost due to GPU reset!", "", Kind::reset, "was reset and lost its memory"},
    // gmc_v9_0_process_interrupt(): "retry" and "no-retry"; gmc_v10_0, gmc_v11_0: neither
    {"amdgpu", "] retry page fault (src_id:", "", Kind::words, "refused an access"},
    {"amdgpu", "] no-retry page fault (src_id:", "", Kind::words, "refused an access"},
    {"amdgpu", "] page fault (src_id:", "", Kind::words, "refused an access"},
    // amdkfd_fence_wait_timeout(), unmap_queues_cpsch(), add_queue_mes() and remove_queue_mes()
    {"amdgpu", "qcm fence wait loop timeout expired", "", Kind::hung, "did not stop its queues"},
    {"amdgpu", "The cp might be in an unrecoverable state", "", Kind::hung, "did not stop its queues"},
    {"amdgpu", "MES might be in unrecoverable state", "", Kind::hung, "did not take or give up a queue"},
    // Newer, in amdgpu_job_timedout() and amdgpu_device_health_check() (v6.12): a reset of the ring alone.
    {"amdgpu", "Ring ", " reset succeeded", Kind::reset, "had a ring reset"},
    {"amdgpu", "Ring ", " reset failed", Kind::broken, "had a ring that could not be reset"},
    {"amdgpu", "device lost from bus", "", Kind::gone, "is gone"},

    // Newer, in nouveau_exec_job_timeout() (v6.6).
    {"nouveau", "job timeout, channel ", " killed!", Kind::hung, hung},
    // gk104_fifo_fault(), tu102_fifo_fault(); gk104_fifo_recover_chan(); nouveau_channel_killed()
    {"nouveau", "fifo: fault ", " on channel ", Kind::words, "refused an access"},
    {"nouveau", "fifo: channel ", ": killed", Kind::words, "refused an access"},
    {"nouveau", ": channel ", " killed!", Kind::words, "refused an access"},
    // gk104_fifo_intr_sched(), gk104_fifo_runlist_commit(), gk104_fifo_gpfifo_kick_locked()
    {"nouveau", "fifo: SCHED_ERROR ", "", Kind::hung, hung},
    {"nouveau", "fifo: runlist ", " update timeout", Kind::hung, hung},
    {"nouveau", "fifo: ", " kick timeout", Kind::hung, hung},
    // nouveau_svm_fault_buffer_ctor()
    {"nouveau", "svm: Fault buffer allocation failed", "", Kind::words, "has no buffer for faults"},

    // Newer, in drm_dev_wedged_event() (v6.15).
    {"", "device wedged, but recovered through reset", "", Kind::reset, "was reset"},
    {"", "device wedged, needs recovery", "", Kind::broken, "is wedged"},
    // NVIDIA's own driver.
    {"NVRM", "GPU has fallen off the bus", "", Kind::gone, "has fallen off the bus"},
};

bool has(std::string_view line, const Pattern& pattern) {
  const std::size_t at = line.find(pattern.first);
  return at != line.npos && line.find(pattern.then, at + std::string_view(pattern.first).size()) != line.npos;
}

// The length of the PCI device name ("0000:03:00.0") at the start of the text; 0: there is none.
std::size_t bus_length(std::string_view text) {
  constexpr std::string_view shape = "xxxx:xx:xx.x";
  if (text.size() < shape.size()) return 0;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] == 'x' ? !std::isxdigit(static_cast<unsigned char>(text[i])) : text[i] != shape[i]) return 0;
  return shape.size();
}

struct Origin {
  std::string driver, bus;
};

// The author of a line; nothing if it cannot be a GPU's driver. Prefixes: dev_printk() "amdgpu 0000:03:00.0: ", pr_err()
// "amdgpu: ", NVIDIA "NVRM: GPU 0000:01:00.0: ", DRM_ERROR() "[drm:amdgpu_job_timedout [amdgpu]] ", DRM_INFO() "[drm] ".
std::optional<Origin> origin(std::string_view line) {
  if (line.starts_with("[drm")) {
    const std::string_view place = line.substr(0, line.find(']'));
    for (const char* driver : {"amdgpu", "nouveau"})
      if (place.find(driver) != place.npos) return Origin{driver, ""};
    return place == "[drm" ? std::optional(Origin{}) : std::nullopt;
  }
  const std::size_t end = line.find_first_of(" :");
  if (end == line.npos || end == 0) return std::nullopt;
  const std::string driver(line.substr(0, end));
  std::string_view rest = line.substr(end);
  if (rest.starts_with(": GPU ")) rest.remove_prefix(5);
  if (!rest.starts_with(' ')) return Origin{driver, ""};
  rest.remove_prefix(1);
  const std::size_t length = bus_length(rest);
  if (length == 0 || !rest.substr(length).starts_with(':')) return std::nullopt;
  return Origin{driver, std::string(rest.substr(0, length))};
}

}  // namespace

std::optional<GpuLine> gpu_line(std::string_view line) {
  const std::optional<Origin> from = origin(line);
  if (!from) return std::nullopt;
  for (const Pattern& pattern : patterns) {
    const std::string_view driver = pattern.driver;
    if (!driver.empty() && !from->driver.empty() && from->driver != driver) continue;
    if (driver.empty() && from->bus.empty()) continue;
    if (!has(line, pattern)) continue;
    return GpuLine{pattern.kind, pattern.what, from->driver.empty() ? pattern.driver : from->driver, from->bus};
  }
  return std::nullopt;
}

}  // namespace faultline
