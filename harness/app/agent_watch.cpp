#include "harness/app/agent_watch.h"

#include "drm_glue/gpus/gpu.h"
#include "drm_glue/health/driver_trace.h"
#include "drm_glue/health/gpu_watch.h"
#include "drm_glue/kernel_log.h"
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
  std::vector<Report> log_reports() override { return log_.health(); }
  std::vector<Report> gpu_reports() override { return gpus_.reports(); }
  std::vector<std::string> words() override { return gpus_.words(); }
  DriverCalls calls() override { return trace_.end(); }
  std::vector<Report> end() override { return gpus_.end(); }

 private:
  PagemapFrames frames_;
  KernelLog log_;
  GpuWatch gpus_;
  DriverTrace trace_;
};

}  // namespace

std::unique_ptr<Watch> watch_here() { return std::make_unique<MachineWatch>(); }

}  // namespace faultline::agent
