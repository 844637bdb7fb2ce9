// A whole run: runs scenarios on targets, gives verdicts and writes a journal.
//
// It does not use the terminal. It reports through RunEvents, which the command line and the Python module show in their
// own ways. If a machine dies, the run goes on with a new one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/allowed.h"
#include "harness/run/finding.h"
#include "harness/run/journal.h"
#include "harness/run/session.h"
#include "harness/run/trial.h"

namespace faultline {

// "lab:dmirror": the target `name` in the place `lab`; the place is empty for this machine.
struct TargetWord {
  std::string place;
  std::string name;
  std::string word() const { return place.empty() ? name : place + ":" + name; }
  // Whether the place has a kernel of its own: it may crash, and a restart of the machine gives a fresh one.
  bool own_kernel() const { return place == "lab"; }
  // "opencl" of "opencl", "opencl:pocl" and "opencl:pocl/0".
  std::string family() const { return name.substr(0, name.find(':')); }
  // Whether the family has several devices, known only when the machine is up. They are used through libraries.
  bool has_devices() const { return family() == "opencl" || family() == "amdgpu" || family() == "nouveau"; }
  // Whether its devices are a GPU in software, which the place starts.
  bool own_gpu() const { return own_kernel() && has_devices(); }
  // The machine that has the target: that of its place. On this machine, such devices have an agent of their own, because that
  // agent loads OpenCL drivers. In the lab, they have a machine of their own, with a GPU in software.
  std::string machine() const {
    if (!has_devices()) return place;
    return place.empty() ? "opencl" : place == "lab" ? "lab-gpu" : place;
  }
  friend bool operator==(const TargetWord&, const TargetWord&) = default;
};

using Predictor = std::function<Allowed(const Program&, DeviceClass, const std::function<bool(std::uint64_t)>& keep_going)>;

struct RunOptions {
  std::vector<TargetWord> targets;
  std::uint64_t iterations = 1000;  // for each scenario
  std::optional<double> seconds;    // for the whole run from `start` on, instead of iterations
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  bool stop_at_first = false;  // end the run, in good order, at the first finding
  std::uint64_t seed = 0;
  int deadline_ms = 0;                   // for one iteration; 0: the agent chooses
  std::optional<Parameters> parameters;  // those of a batch in a journal, to repeat it
  std::string crash;                     // for tests: panic the lab's kernel once, while this scenario runs
  Session::Patience patience;
  // How to start the n-th machine (from 1) of a place.
  std::function<Machine::Spec(const std::string& place, int number)> machine;
  nlohmann::json about = nlohmann::json::object();  // for the journal's first record: command line, versions
};

struct RunProgress {
  std::size_t index = 0;  // of the current pair of scenario and target, from 1
  std::size_t count = 0;
  std::string scenario;
  std::string target;
  std::uint64_t done = 0;   // iterations of this pair
  std::uint64_t total = 0;  // 0: as many as the time allows
  double rate = 0;          // iterations a second
  std::optional<double> seconds_left;
  std::string status;  // what is being prepared, such as the last line of a starting machine; empty while iterations run
};

struct RunEvents {
  std::function<void(const RunProgress&)> progress;  // several times a second
  std::function<void(const Trial&)> trial;           // when the trial is complete
  std::function<std::string(const Trial&)> again;    // the command that repeats it, for the journal
  // As soon as a trial shows it; the first of each kind in a trial. `again`: the command that repeats the run with it.
  std::function<void(const Finding&, const std::string& again)> finding;
  std::function<void(const std::string&)> note;  // one line about a machine or a known finding, as it happens
  StopAsked stop;
};

struct RunResult {
  std::vector<Trial> trials;  // by target, then by scenario
  bool interrupted = false;
  bool stopped_at_first = false;  // by RunOptions::stop_at_first
  std::optional<Finding> first_finding;
  std::string journal_failure;
  int exit_code() const;
};

// A local target is not available. Nothing has been run.
struct TargetNotHere : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Starts the local agents first, and throws TargetNotHere before anything runs if a local target is not available. If the lab
// does not come up, its trials are inconclusive.
//
// A run by time makes rounds over all trials. The first is short, so that each has iterations and what shows at once is told
// early; it is made whatever it takes. Each further one takes half of the time that is left, until slices would be so short
// that their beginnings and ends took most of it.
RunResult run(const std::vector<Scenario>& scenarios, const RunOptions& options, const Predictor& predictor, Journal& journal,
              const RunEvents& events);

// The device class that the claims of a scenario are about.
DeviceClass class_of_claims(const Program& program);

}  // namespace faultline
