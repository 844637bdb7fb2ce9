// Runs trials slice by slice, on machines that it starts and replaces, and writes the journal. What a trial finds is told at
// once.
//
// Who chooses the trials and the slices is another matter: run.h does it for a list of scenarios, a campaign for those that
// it makes as it goes.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/run/finding.h"
#include "harness/run/machines.h"
#include "harness/run/run.h"

namespace faultline {

// A scenario on a target, and what is known of it. Make it with TrialRunner::open().
struct OpenTrial {
  std::shared_ptr<const Scenario> scenario;
  TargetWord target;
  std::size_t index = 0;  // for RunProgress, from 1
  std::string device;     // the full name of the target, known when it is prepared
  Trial trial;
  bool prepared = false;
  bool closed = false;  // no slice makes it any better: given up, skipped, hangs ... or close() was called
  int slices = 0;
  std::set<Finding::What> found;  // that was told, but for reports of the kernel log
};

class TrialRunner {
 public:
  // The arguments must live as long. Writes the record `run` of the journal, with `files`.
  TrialRunner(const RunOptions& options, const Predictor& predictor, Journal& journal, const RunEvents& events,
              const std::vector<std::string>& files);
  TrialRunner(const TrialRunner&) = delete;
  TrialRunner& operator=(const TrialRunner&) = delete;

  // Starts the agents of this machine. Throws TargetNotHere if a target of this machine is not available.
  void require_local_targets();

  // What the target can do, on its machine, which is started if it is not up. Nothing if there is none, for the reason `why`.
  std::optional<Capabilities> capabilities(const TargetWord& target, std::string& why);

  OpenTrial open(std::shared_ptr<const Scenario> scenario, const TargetWord& target, std::size_t index) const;
  // Runs some iterations: at most `iterations`, and none that begins after `seconds`; but one at least if the trial can run
  // at all. Nothing if the trial is closed. A machine that is lost on the way is replaced by the next slice. `seed`: that of
  // the slice, if not the run's and the number of the slice.
  void slice(OpenTrial& open, std::uint64_t iterations, std::optional<double> seconds, std::optional<std::uint64_t> seed = {});
  // Gives the verdict: to the journal, and to RunEvents::trial. Nothing if the trial is closed.
  void close(OpenTrial& open);
  // Ends the machines, and writes the record `end`. `result` gets what only this class knows.
  void end(RunResult& result);

  // Why the run is to end: asked for, the disk is full, or a finding with RunOptions::stop_at_first.
  Stop stop() const;
  bool stopped() const { return stop() != Stop::none; }
  double seconds() const;  // since RunOptions::start
  const std::optional<Finding>& first_finding() const { return first_finding_; }
  void expect(std::size_t trials) { count_ = trials; }  // for RunProgress

 private:
  bool prepare(OpenTrial& open);
  void tell_findings(OpenTrial& open);
  void write(const std::string& event, const nlohmann::json& record);
  void write_trial(const OpenTrial& open);
  void progress(const OpenTrial* open, const std::string& status);
  void note(const std::string& line) {
    if (events_.note) events_.note(line);
  }

  const RunOptions& options_;
  const Predictor& predictor_;
  Journal& journal_;
  const RunEvents& events_;

  std::set<std::string> told_;     // notes that are the same in all trials of a target: what is not counted, known findings
  std::set<std::string> reports_;  // of the kernel log that were told, by target and title
  bool crashed_ = false;
  std::string journal_failure_;
  std::optional<Finding> first_finding_;
  std::size_t count_ = 0;
  std::uint64_t iterations_ = 0;  // of all trials
  double running_s_ = 0;          // in slices
  Machines machines_{options_.patience,
                     {.start = options_.machine,
                      .write = [this](const nlohmann::json& record) { write("machine", record); },
                      .status = [this](const std::string& status) { progress(nullptr, status); },
                      .note = [this](const std::string& line) { note(line); },
                      .stop = [this] { return stop(); }}};
};

}  // namespace faultline
