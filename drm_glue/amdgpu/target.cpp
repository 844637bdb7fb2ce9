#include "drm_glue/amdgpu/target.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>

#include "drm_glue/amdgpu/fault_drain.h"
#include "drm_glue/amdgpu/sdma.h"
#include "drm_glue/amdgpu/svm.h"
#include "drm_glue/amdgpu/user_queue.h"
#include "drm_glue/of_process.h"
#include "drm_glue/pagemap.h"
#include "drm_glue/swap.h"
#include "harness/outcome.h"

namespace faultline::amdgpu {
namespace {

// How accesses reach memory.
enum class Way {
  userptr,  // jobs, through BOs of the process's pages
  ranges,   // queues of the process, by its own addresses, through the entries of KFD's SVM ranges
};

// One GPU in one mode.
struct About {
  std::string bus, chip, render_node;
  std::uint32_t gpu = 0;  // KFD's id; 0: no SVM
  kfd::Xnack xnack = kfd::Xnack::off;
  Way way = Way::userptr;
  std::string why_not;

  // A page has to be mapped for the GPU before an access, which cannot wait for it.
  bool maps_first() const { return way == Way::ranges && xnack == kfd::Xnack::off; }
};

// The engine as one thread uses it. With `vram`, each copy of a job makes a stop in VRAM; every second lane has it.
struct Lane {
  explicit Lane(std::unique_ptr<Copier> copier) : engine(std::move(copier)) {}
  std::unique_ptr<Copier> engine;
  std::optional<Buffer> vram;
};

// A process's use of the GPU. It lasts for all iterations.
class Process {
 public:
  explicit Process(const About& about)
      : way_(about.way), drains_(about.way == Way::ranges && about.xnack == kfd::Xnack::on), device_(about.render_node) {
    if (!has_copy_linear(device_.family())) throw Failure("SDMA of a gfx6, which has other packets", ENOTSUP);
    if (about.gpu == 0) return;
    svm_ = std::make_unique<SvmProcess>(about.gpu, about.render_node);
    if (const int error = svm_->open(about.xnack)) throw Failure("SVM through /dev/kfd", error);
  }

  // Null on failure: sets errno and gives the reason to `words`.
  static Process* make(const About& about, DriverWords* words) {
    try {
      return new Process(about);
    } catch (const Failure& failure) {
      if (words) words->failed(failure.what());
      errno = failure.error();
      return nullptr;
    }
  }

  Device& device() { return device_; }
  SvmProcess* svm() { return svm_.get(); }
  // After an access. A process without one has no queue.
  void wait_for_faults() {
    if (!drains_) return;
    {
      const std::lock_guard lock(mutex_);
      if (!drain_) drain_ = std::make_unique<FaultDrain>(std::make_unique<UserQueue>(*svm_, device_.family()), *svm_);
    }
    drain_->wait();
  }

  std::unique_ptr<Lane> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return make_lane();
    std::unique_ptr<Lane> lane = std::move(idle_.back());
    idle_.pop_back();
    return lane;
  }
  void give_back(std::unique_ptr<Lane> lane) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(lane));
  }
  // After a reset: the reset has killed all contexts.
  void forget_idle() {
    const std::lock_guard lock(mutex_);
    idle_.clear();
  }

 private:
  std::unique_ptr<Lane> make_lane() {
    if (way_ == Way::ranges) return std::make_unique<Lane>(std::make_unique<UserQueue>(*svm_, device_.family()));
    auto lane = std::make_unique<Lane>(std::make_unique<Sdma>(device_));
    if (++lanes_ % 2 == 0) lane->vram.emplace(device_, Buffer::Where::vram);
    return lane;
  }

  const Way way_;
  const bool drains_;
  Device device_;
  std::unique_ptr<SvmProcess> svm_;
  std::unique_ptr<FaultDrain> drain_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_;
  int lanes_ = 0;
};

class Handle : public DeviceHandle {
 public:
  Handle(Process& process, const About& about, DriverWords* words) : process_(process), about_(about), words_(words) {
    if (SvmProcess* svm = process_.svm()) svm->forget_history();
  }

  DeviceAccess load(std::uintptr_t address) override {
    DeviceAccess access;
    access.error = tried([&](Lane& lane) {
      const Reached page = reach(address, UserPage::Access::read);
      copy(lane, lane.engine->word_address(), page.address, page.buffers);
      access.value = lane.engine->word();
    });
    return access;
  }

  DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
    return {tried([&](Lane& lane) {
      const Reached page = reach(address, UserPage::Access::write);
      lane.engine->word() = value;
      copy(lane, page.address, lane.engine->word_address(), page.buffers);
    })};
  }

  int migrate(std::uintptr_t address, int pages, bool to_device) override {
    SvmProcess* const svm = process_.svm();
    if (!svm) return ENOTSUP;
    const int error = svm->migrate(address, static_cast<std::size_t>(pages) * page_bytes, to_device);
    if (error == EFAULT) return 0;  // a hole: nothing moves. Not reported as an error (Sight::migration_errors)
    if (error != 0 && words_) words_->failed("AMDKFD_IOC_SVM: " + errno_text(error));
    return error;
  }

  // devm_request_free_mem_region() names the memory after the device.
  int location(std::uintptr_t address, Location& location) override {
    if (SvmProcess* svm = process_.svm()) svm->settle();
    return page_location(real_kernel(), address, about_.bus, location);
  }

  int history(std::uintptr_t address, PageHistory& history) override {
    SvmProcess* const svm = process_.svm();
    return svm ? svm->history(address, history) : ENOTSUP;
  }

 private:
  // Makes the request on a lane of its own. A lane that fails, other than for the page's sake (EFAULT, EPERM), is dropped.
  template <typename Request>
  int tried(const Request& request) {
    std::unique_ptr<Lane> lane;
    try {
      lane = process_.take();
      request(*lane);
      process_.give_back(std::move(lane));
      if (about_.way == Way::userptr) return 0;
      process_.wait_for_faults();
      return process_.svm()->keep_up();
    } catch (const Failure& failure) {
      if (lane && (failure.error() == EFAULT || failure.error() == EPERM)) {
        process_.give_back(std::move(lane));
        return failure.error();
      }
      tell(failure, lane.get());
      if (failure.error() == ECANCELED) process_.forget_idle();
      return failure.error() == ENODEV ? ENODEV : EIO;
    }
  }

  void tell(const Failure& failure, const Lane* lane) {
    if (!words_) return;
    const std::string resets = lane ? lane->engine->resets() : "";
    words_->failed(failure.what() + (resets.empty() ? "" : " (" + resets + ")"));
  }

  // A page of the process: its GPU address, and the BOs that a job on it must list.
  struct Reached {
    std::uint64_t address = 0;
    std::vector<std::uint32_t> buffers;
  };

  static void copy(Lane& lane, std::uint64_t to, std::uint64_t from, std::vector<std::uint32_t> buffers) {
    constexpr std::uint32_t bytes = sizeof(std::uint64_t);
    if (!lane.vram) return lane.engine->copy(to, from, bytes, buffers);
    // Two jobs. Each job lists only its own BOs, so only one of them looks the user page up.
    const std::uint64_t stop = lane.vram->address();
    const bool from_user = to == lane.engine->word_address();
    const std::uint32_t own = lane.vram->handle();
    buffers.push_back(own);
    if (from_user) {
      lane.engine->copy(stop, from, bytes, buffers);
      lane.engine->copy(to, stop, bytes, std::array{own});
    } else {
      lane.engine->copy(stop, from, bytes, std::array{own});
      lane.engine->copy(to, stop, bytes, buffers);
    }
  }

  // One BO per address and access, kept: its interval notifier must see every change at the address.
  Reached reach(std::uintptr_t address, UserPage::Access access) {
    if (about_.maps_first())
      if (const int error = process_.svm()->give_access(address)) throw Failure("AMDKFD_IOC_SVM", error);
    if (about_.way != Way::userptr) return {address, {}};
    const std::lock_guard lock(mutex_);
    std::unique_ptr<UserPage>& page = pages_[{address, access}];
    if (!page) page = std::make_unique<UserPage>(process_.device(), address, access);
    return {page->address(), {page->handle()}};
  }

  Process& process_;
  const About& about_;
  DriverWords* const words_;
  std::mutex mutex_;
  std::map<std::pair<std::uintptr_t, UserPage::Access>, std::unique_ptr<UserPage>> pages_;
};

const char* suffix(Way way) { return way == Way::ranges ? "/svm" : ""; }
const char* word(kfd::Xnack mode) { return mode == kfd::Xnack::on ? "xnack-on" : "xnack-off"; }

class AmdgpuTarget : public Target {
 public:
  explicit AmdgpuTarget(About about) : about_(std::move(about)) {}

  std::string name() const override {
    if (about_.bus.empty()) return "amdgpu";
    return "amdgpu:" + about_.bus + (about_.gpu == 0 ? "" : std::string("/") + word(about_.xnack)) + suffix(about_.way);
  }

  std::vector<std::string> gpus() const override { return {about_.bus}; }
  std::string about() const override {
    const std::string svm = about_.gpu == 0 ? "without SVM" : std::string("SVM with ") + word(about_.xnack);
    const char* const copies = about_.way == Way::ranges ? ", SDMA copies of SVM ranges by user queues, " : ", SDMA copies, ";
    return about_.chip + ", " + about_.render_node + copies + svm;
  }

  std::string unavailable() const override { return about_.why_not; }

  Capabilities capabilities() const override {
    Capabilities can;
    can.device_class = device_class();
    can.sight.faults = false;
    can.sight.identity = frames_unavailable(real_kernel()).empty();
    can.migrate = about_.gpu != 0;
    can.sight.location = can.migrate && can.sight.identity;
    can.sight.events = can.migrate;
    can.sight.migration_errors = false;
    can.inherited = can.forked = false;
    can.swap = has_swap(real_kernel());
    return can;
  }

  void speak_to(DriverWords* words) override { words_ = words; }

  std::unique_ptr<DeviceHandle> open(int) override {
    Process* const process = process_.get([&] { return Process::make(about_, words_); });
    return process ? std::make_unique<Handle>(*process, about_, words_) : nullptr;
  }

 private:
  DeviceClass device_class() const {
    if (about_.gpu == 0) return DeviceClass::recoverable;
    if (about_.way == Way::userptr)
      return about_.xnack == kfd::Xnack::on ? DeviceClass::unmap_and_retry : DeviceClass::preempt_and_restore;
    return about_.xnack == kfd::Xnack::on ? DeviceClass::fault_and_migrate : DeviceClass::map_and_restore;
  }

  const About about_;
  DriverWords* words_ = nullptr;
  OfProcess<Process> process_;
};

// UserQueue writes the packets of gfx9.
std::string not_gfx9(const Gpu& gpu) {
  const std::size_t at = gpu.chip.rfind("gfx");
  const std::string_view name = at == std::string::npos ? std::string_view() : std::string_view(gpu.chip).substr(at);
  return name.size() == 6 && name.starts_with("gfx9") ? "" : "the packets of user queues are written for gfx9 only";
}

void add_targets(std::vector<std::unique_ptr<Target>>& targets, const Gpu& gpu) {
  About about{.bus = gpu.bus, .chip = gpu.chip, .render_node = gpu.render_node, .gpu = gpu.kfd_id};
  const auto add = [&](Way way, kfd::Xnack xnack, const std::string& why_not = "") {
    about.way = way;
    about.xnack = xnack;
    about.why_not = why_not;
    targets.push_back(std::make_unique<AmdgpuTarget>(about));
  };
  const bool on = gpu.svm.recoverable, off = gpu.svm.preempt_and_restore;
  if (!on && !off) about.gpu = 0;
  if (on) add(Way::userptr, kfd::Xnack::on);
  add(Way::userptr, kfd::Xnack::off);
  if (on) add(Way::ranges, kfd::Xnack::on, not_gfx9(gpu));
  if (off) add(Way::ranges, kfd::Xnack::off, not_gfx9(gpu));
}

}  // namespace

std::vector<std::unique_ptr<Target>> amdgpu_targets(const std::vector<Gpu>& gpus) {
  std::vector<std::unique_ptr<Target>> targets;
  std::string why;
  for (const Gpu& gpu : gpus) {
    if (gpu.driver != "amdgpu") continue;
    if (access(gpu.render_node.c_str(), R_OK | W_OK) == 0) add_targets(targets, gpu);
    else why = gpu.bus + ": " + gpu.svm.why_not + (gpu.svm.help.empty() ? "" : "; would help: " + gpu.svm.help);
  }
  if (targets.empty())
    targets.push_back(std::make_unique<AmdgpuTarget>(
        About{.why_not = why.empty() ? "no GPU of amdgpu here; 'faultline targets' lists the GPUs" : why}));
  return targets;
}

}  // namespace faultline::amdgpu
