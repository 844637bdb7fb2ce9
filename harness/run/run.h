// A whole run: scenarios on targets, to verdicts and a journal.
//
// No terminal here: what happens is told through RunEvents, and the command line and the Python module
// say it in their own way. Machines die in the middle; the run goes on with a new one.
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
#include "harness/run/journal.h"
#include "harness/run/session.h"
#include "harness/run/trial.h"

namespace faultline {

// "lab:dmirror": the target `name` in the place `lab`; the place is empty for this machine.
struct TargetWord {
  std::string place;
  std::string name;
  std::string word() const { return place.empty() ? name : place + ":" + name; }
  // Its kernel may die, and is a new one when the machine is started again.
  bool own_kernel() const { return place == "lab"; }
  // "opencl" of "opencl", "opencl:pocl" and "opencl:pocl/0".
  std::string family() const { return name.substr(0, name.find(':')); }
  // Which devices a family has is known when the machine is up. They are reached through libraries.
  bool has_devices() const { return family() == "opencl" || family() == "amdgpu" || family() == "nouveau"; }
  // Which machine has it: that of the place; here an agent of its own for what loads OpenCL's drivers.
  std::string machine() const { return place.empty() && has_devices() ? "opencl" : place; }
  friend bool operator==(const TargetWord&, const TargetWord&) = default;
};

using Predictor = std::function<Allowed(const Program&, DeviceClass, const std::function<bool(std::uint64_t)>& keep_going)>;

struct RunOptions {
  std::vector<TargetWord> targets;
  std::uint64_t iterations = 1000;  // for each scenario
  std::optional<double> seconds;    // for the whole run, instead of iterations
  std::uint64_t seed = 0;
  int deadline_ms = 0;                   // of one iteration; 0: what the agent finds right
  std::optional<Parameters> parameters;  // of a journalled batch, to show it again
  std::string crash;                     // for tests: press the crash key in the lab once, while this scenario runs
  Session::Patience patience;
  // How to start the n-th machine (from 1) of a place.
  std::function<Machine::Spec(const std::string& place, int number)> machine;
  nlohmann::json about = nlohmann::json::object();  // for the journal's first record: command line, versions
};

struct RunProgress {
  std::size_t index = 0;  // of pairs of scenario and target, from 1
  std::size_t count = 0;
  std::string scenario;
  std::string target;
  std::uint64_t done = 0;   // iterations of this pair
  std::uint64_t total = 0;  // 0: as many as the time allows
  double rate = 0;          // iterations a second
  std::optional<double> seconds_left;
  std::string status;  // what a starting machine says; else empty
};

struct RunEvents {
  std::function<void(const RunProgress&)> progress;  // several times a second
  std::function<void(const Trial&)> trial;           // when nothing more will come for it
  std::function<void(const std::string&)> note;      // one line about a machine or a finding, as it happens
  StopAsked stop;
};

struct RunResult {
  std::vector<Trial> trials;  // by target, then by scenario
  bool interrupted = false;
  std::string journal_failure;
  int exit_code() const;
};

// A target of this machine that is not here: nothing has been run.
struct TargetNotHere : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Starts the machines of this place first, so that a target that is not here is told before anything
// runs: throws TargetNotHere. A lab that does not come up makes its trials inconclusive.
RunResult run(const std::vector<Scenario>& scenarios, const RunOptions& options, const Predictor& predictor, Journal& journal,
              const RunEvents& events);

// The device class that a scenario's claims are about.
DeviceClass class_of_claims(const Program& program);

}  // namespace faultline
