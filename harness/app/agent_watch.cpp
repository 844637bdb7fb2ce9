#include "harness/app/agent_watch.h"

#include <utility>

#include "drm_glue/gpus/gpu.h"
#include "drm_glue/health/driver_trace.h"
#include "drm_glue/health/gpu_watch.h"
#include "drm_glue/kernel_log.h"
#include "drm_glue/kernel_taint.h"
#include "drm_glue/pagemap.h"

namespace faultline::agent {
namespace {

class MachineWatch final : public Watch {
 public:
  MachineWatch() : frames_(real_kernel()) {
    log_.listen([this](const std::string& line) { gpus_.line(line); });
  }

  Frames* frames() override { return &frames_; }
  GpuList gpus() override { return list_gpus(); }
  std::string log_unavailable() const override { return log_.unavailable(); }
  std::string gone(const std::vector<std::string>& buses) const override { return gpus_.gone(buses); }

  void begin(const std::vector<std::string>& buses, const std::string& driver) override {
    gpus_.begin(buses);
    std::set<std::string> drivers = gpus_.drivers();
    drivers.insert(driver);
    trace_.begin(drivers);
  }
  std::vector<Report> log_reports() override {
    const std::vector<std::string> tainted = taint_.news();
    std::vector<Report> reports = log_.health();
    told_ |= !reports.empty();
    if (tainted.empty()) return reports;
    // The kernel writes its report first, so what tainted it has been read, now or before.
    if (!std::exchange(told_, false)) reports.push_back({taint_line(tainted)});
    return reports;
  }
  std::vector<Report> gpu_reports() override { return gpus_.reports(); }
  std::vector<std::string> words() override { return gpus_.words(); }
  DriverCalls calls() override { return trace_.end(); }
  std::vector<Report> end() override { return gpus_.end(); }

 private:
  PagemapFrames frames_;
  KernelLog log_;
  KernelTaint taint_;
  bool told_ = false;  // a report was read since the kernel was last tainted
  GpuWatch gpus_;
  DriverTrace trace_;
};

}  // namespace

std::unique_ptr<Watch> watch_here() { return std::make_unique<MachineWatch>(); }

}  // namespace faultline::agent
