#include "drm_glue/health/gpu_watch.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace faultline {
namespace {

// VRAM use may grow by less than this: a driver makes page tables and rings at the first use and keeps them. It is a
// granule of SVM (amdgpu.svm_default_granularity). A leak in every iteration adds up to more.
constexpr std::uint64_t vram_kept = 2 << 20;
// The kernel frees a dead process's memory late, in work items (kfd_process_wq_release, ttm_bo_delayed_delete).
constexpr int patience_ms = 5000, pause_ms = 100;

constexpr std::size_t most_lines = 40;

std::string name_of(const GpuState& gpu) { return "GPU " + gpu.bus + (gpu.driver.empty() ? "" : " (" + gpu.driver + ")"); }

bool has_grown(std::optional<std::uint64_t> from, std::optional<std::uint64_t> to) {
  return from && to && *to > *from && *to - *from >= vram_kept;
}

}  // namespace

void GpuWatch::begin(const std::vector<std::string>& buses) {
  for (const auto& [bus, gpu] : watched_) vram_[bus] = gpu.vram;
  watched_.clear();
  words_.clear();
  for (const std::string& bus : buses) {
    Watched gpu{.before = gpu_state(bus)};
    gpu.alone = devices_of(gpu.before.driver) == 1;
    // Compare with the value before the first run, so that small leaks of many short runs add up. But a value is only
    // good if nobody else used the GPU.
    const auto known = vram_.find(bus);
    gpu.vram = known != vram_.end() && known->second && gpu.before.vram_used ? known->second : gpu.before.vram_used;
    watched_.emplace(bus, std::move(gpu));
  }
}

std::set<std::string> GpuWatch::drivers() const {
  std::set<std::string> drivers;
  for (const auto& [bus, gpu] : watched_) drivers.insert(gpu.before.driver);
  return drivers;
}

// The GPU that a line is about. If it names none: the driver's first watched GPU, perhaps wrongly (see told()).
GpuWatch::Watched* GpuWatch::owner(const GpuLine& line) {
  for (auto& [bus, gpu] : watched_)
    if (line.bus.empty() ? gpu.before.driver == line.driver : bus == line.bus) return &gpu;
  return nullptr;
}

std::string GpuWatch::told(const Watched& gpu, const GpuLine& line) {
  const bool perhaps = line.bus.empty() && !gpu.alone;
  return name_of(gpu.before) + (perhaps ? ", or another of its driver, " : " ") + line.what;
}

void GpuWatch::line(const std::string& text) {
  if (watched_.empty()) return;
  const std::optional<GpuLine> line = gpu_line(text);
  if (!line) return;
  Watched* gpu = owner(*line);
  if (!gpu) return;
  if (line->kind == GpuLine::Kind::words) {
    if (words_.size() < most_lines) words_.push_back(told(*gpu, *line) + ": " + text);
    return;
  }
  if (!gpu->worst || line->kind >= gpu->worst->kind) gpu->worst = line;
  if (gpu->lines.size() < most_lines) gpu->lines.push_back(text);
  if (line->kind == GpuLine::Kind::gone) gone_.insert(gpu->before.bus);
}

std::vector<GpuWatch::Report> GpuWatch::reports() {
  std::vector<Report> result;
  for (auto& [bus, gpu] : watched_) {
    if (!gpu.worst) continue;
    gpu.lines.insert(gpu.lines.begin(), told(gpu, *gpu.worst));
    result.push_back(std::move(gpu.lines));
    gpu.lines.clear();
    gpu.worst.reset();
  }
  return result;
}

std::vector<std::string> GpuWatch::words() { return std::exchange(words_, {}); }

GpuWatch::Report GpuWatch::compare(Watched& gpu) {
  const std::string& bus = gpu.before.bus;
  const std::string name = name_of(gpu.before);
  GpuState now = gpu_state(bus);
  if (now.gone) {
    if (!gone_.insert(bus).second) return {};  // reported before
    return {name + " is gone: /sys/bus/pci/devices/" + bus + " is not there, or reads as ones"};
  }
  Report report;
  if (now.power == "error" && gpu.before.power != "error")
    report.push_back(name + " cannot be woken: its power/runtime_status is error");
  if (!now.dump.empty() && now.dump != gpu.before.dump)
    report.push_back(name + " left a dump of its state: /sys/class/devcoredump/" + now.dump + "/data");
  for (int waited = 0; has_grown(gpu.vram, now.vram_used) && waited < patience_ms; waited += pause_ms) {
    usleep(pause_ms * 1000);
    now = gpu_state(bus);
  }
  if (has_grown(gpu.vram, now.vram_used))
    report.push_back(name + " has " + std::to_string(*now.vram_used - *gpu.vram) +
                     " bytes of VRAM in use that belong to nobody: " + std::to_string(*gpu.vram) + " before, " +
                     std::to_string(*now.vram_used) + " after all had ended");
  // Report a leak once. And start anew after others have used the GPU.
  if (!now.vram_used || has_grown(gpu.vram, now.vram_used)) gpu.vram = now.vram_used;
  gpu.before = now;
  return report;
}

std::vector<GpuWatch::Report> GpuWatch::end() {
  std::vector<Report> result;
  for (auto& [bus, gpu] : watched_)
    if (Report report = compare(gpu); !report.empty()) result.push_back(std::move(report));
  return result;
}

std::string GpuWatch::gone(const std::vector<std::string>& buses) const {
  for (const std::string& bus : buses)
    if (gone_.contains(bus)) return "GPU " + bus + " is gone: nothing more can be run on it before it is back";
  return "";
}

}  // namespace faultline
