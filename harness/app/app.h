// What the subcommands share: where things are, which scenarios and targets are meant, and Ctrl-C.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/run/run.h"
#include "harness/run/session.h"
#include "harness/run/trial.h"

namespace faultline::app {

// Bad usage or input: the message is for the person as it is, ends with a newline, and the exit code is 2.
struct BadInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The folder of the project: FAULTLINE_ROOT, else the nearest one above `start` that holds ci/lab.
std::string project_root(const std::string& start);
// The same, from this executable's place.
std::string project_root();

// Every *.scn that the paths name, folders searched and sorted, each once. Throws BadInput with all that
// is wrong with all of them.
std::vector<Scenario> load_scenarios(const std::vector<std::string>& paths);

// Where targets can be, besides this machine as it is: "lab", the virtual one; "debian13", this machine's
// kernel under the root that `ci/lab root` makes.
const std::vector<std::string>& places();
// "host", "pinned", "dmirror", and those of the places: "lab:host", "debian13:host" ...
std::vector<std::string> target_words();
// [PLACE:]TARGET; a target may have colons of its own. Throws BadInput with a suggestion.
TargetWord parse_target(const std::string& word);

struct LabOptions {
  std::string kernel;
  std::string append;
};
// How machines are started: the local agent is the one beside this executable.
// FAULTLINE_AGENT and FAULTLINE_LAB hold a command line to use instead of the agent and of ci/lab.
// `prefix` is put before the names of the files with a machine's words; without it nothing is kept, which
// will do for a hello of the local agent.
std::function<Machine::Spec(const std::string& place, int number)> machines(const std::string& root, const LabOptions& lab,
                                                                            const std::string& prefix);

// The reference, remembering its answers.
Predictor reference();

// Ctrl-C and SIGTERM: the first asks for an end in good order, the second for one at once.
void watch_signals();
Stop stop_asked();

}  // namespace faultline::app
