// The run of run.h, while it lasts.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/run/machines.h"
#include "harness/run/run.h"

namespace faultline {

class Runner {
 public:
  Runner(const std::vector<Scenario>& scenarios, const RunOptions& options, const Predictor& predictor, Journal& journal,
         const RunEvents& events)
      : scenarios_(scenarios), options_(options), predictor_(predictor), journal_(journal), events_(events) {}

  RunResult go();
  RunResult go(WorkSource& source);

 private:
  struct Pair {
    const Scenario* scenario = nullptr;
    std::shared_ptr<const Scenario> own;  // of a source
    TargetWord target;
    std::string device;  // the full name of the target, set by prepare()
    Trial trial;
    bool prepared = false;
    bool closed = false;
    int slices = 0;
  };

  void require_local_targets();
  bool prepare(Pair& pair);
  const Allowed& predicted(const Scenario& scenario, DeviceClass device_class);
  void slice(Pair& pair, std::uint64_t iterations, std::optional<double> seconds, std::optional<std::uint64_t> seed = {});
  void run_by_iterations();
  void run_by_time(double seconds);
  void run_by_source(double seconds, WorkSource& source);
  std::optional<Work> work_of(WorkSource& source, const TargetWord& target);
  std::size_t pair_of(const std::shared_ptr<const Scenario>& scenario, const TargetWord& target);
  void forget(std::size_t pair);
  void close(Pair& pair);
  void write_run(const nlohmann::json& files);
  void end();

  void write(const std::string& event, const nlohmann::json& record);
  void write_trial(const Pair& pair);
  void progress(const Pair* pair, const std::string& status);
  void note(const std::string& line) {
    if (events_.note) events_.note(line);
  }
  Stop stop() const {
    const Stop asked = events_.stop ? events_.stop() : Stop::none;
    return asked == Stop::none && !result_.journal_failure.empty() ? Stop::soon : asked;
  }
  bool stopped() const { return stop() != Stop::none; }

  const std::vector<Scenario>& scenarios_;
  const RunOptions& options_;
  const Predictor& predictor_;
  Journal& journal_;
  const RunEvents& events_;

  std::vector<Pair> pairs_;
  std::map<std::pair<const Scenario*, DeviceClass>, Allowed> predictions_;
  std::set<std::string> told_;  // notes that are the same in all trials of a target: what is not counted, known findings
  bool crashed_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  RunResult result_;
  Machines machines_{options_.patience,
                     {.start = options_.machine,
                      .write = [this](const nlohmann::json& record) { write("machine", record); },
                      .status = [this](const std::string& status) { progress(nullptr, status); },
                      .note = [this](const std::string& line) { note(line); },
                      .stop = [this] { return stop(); }}};
};

}  // namespace faultline
