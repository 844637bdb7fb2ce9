// For the tests of the executor: a target without a kernel driver, and the results of a run as a value.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/executor/executor.h"
#include "harness/shared.h"

namespace faultline {

// A device that is the CPU.
class CpuTarget : public Target {
 public:
  std::string name() const override { return "cpu"; }
  std::string unavailable() const override { return {}; }
  Capabilities capabilities() const override;
  std::unique_ptr<DeviceHandle> open(int device) override;

  bool takes_signals() const override { return signals; }

  int open_error = 0;
  bool signals = true;
};

// A device that is the CPU, with functions to call at a load and at an open.
class WatchedTarget : public CpuTarget {
 public:
  std::unique_ptr<DeviceHandle> open(int device) override {
    if (at_open) at_open(shared_->opens++);
    return std::make_unique<Handle>(*this, CpuTarget::open(device));
  }

  // The argument is the number of earlier calls, in all processes together.
  std::function<void(int)> at_load, at_open;

 private:
  struct Calls {
    std::atomic<int> loads{0}, opens{0};
  };
  class Handle : public DeviceHandle {
   public:
    Handle(WatchedTarget& target, std::unique_ptr<DeviceHandle> real) : target_(target), real_(std::move(real)) {}
    DeviceAccess load(std::uintptr_t address) override {
      if (target_.at_load) target_.at_load(target_.shared_->loads++);
      return real_->load(address);
    }
    DeviceAccess store(std::uintptr_t address, std::uint64_t value) override { return real_->store(address, value); }

   private:
    WatchedTarget& target_;
    const std::unique_ptr<DeviceHandle> real_;
  };

  const Shared<Calls> shared_;
};

// The results of a run: outcomes with their counts, and everything else that the listener was told.
struct Seen : RunListener {
  void batch(const Batch& batch) override;
  void hang(const Hang& hang) override { hangs.push_back(hang); }
  void crash(const Crash& crash) override { crashes.push_back(crash); }
  void error(const std::string& message) override { errors.push_back(message); }
  void driver(std::uint64_t, const std::string& words) override { driver_words.push_back(words); }
  bool stop_requested() override { return stop_after > 0 && iterations >= stop_after; }

  std::vector<Observable> schema;
  std::map<Outcome, std::uint64_t> outcomes;
  std::vector<Batch> batches;
  std::vector<Hang> hangs;
  std::vector<Crash> crashes;
  std::vector<std::string> errors;
  std::vector<std::string> driver_words;
  std::uint64_t iterations = 0;
  std::uint64_t stop_after = 0;

  // Every text of an observable, with its count.
  std::map<std::string, std::uint64_t> texts(const std::string& key) const;
  // The only text of the observable; "(several)" or "(none)" if there is not exactly one.
  std::string only(const std::string& key) const;
};

Seen run_text(const std::string& text, Target& target, const RunPlan& plan, Frames* frames = nullptr);
// On a CpuTarget.
Seen run_text(const std::string& text, std::uint64_t iterations);

// Expects `iterations` outcomes, no reports besides, and no process left behind.
void expect_clean(const Seen& seen, std::uint64_t iterations);

}  // namespace faultline
