// What the subcommands share: paths, scenarios and targets from the command line, and Ctrl-C.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/run/run.h"
#include "harness/run/session.h"
#include "harness/run/trial.h"

namespace faultline::app {

// Bad usage or input. The message is printed as it is and ends with a newline. The exit code is 2.
struct BadInput : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The folder of the project: FAULTLINE_ROOT, otherwise the nearest folder at or above `start` that has ci/lab.
std::string project_root(const std::string& start);
// The same, starting from the folder of this executable.
std::string project_root();

// The paths, or the project's own scenarios if there is none.
std::vector<std::string> paths_or_all(const std::vector<std::string>& paths, const std::string& root);

// Loads every *.scn that the paths name, once each. Folders are searched and sorted. Throws BadInput with the errors of all
// files.
std::vector<Scenario> load_scenarios(const std::vector<std::string>& paths);

// A condition on outcomes of the program, written as in a claim, and the text that it was read from, for errors about it.
struct GivenCondition {
  Condition condition;
  std::string text;  // its places are in here, as in a file named "CONDITION"
};
// Throws BadInput.
GivenCondition parse_condition(const Program& program, const std::string& condition);

// The places of targets, besides this machine itself: "lab", the virtual machine; "debian13", this machine's kernel with the
// root file system that `ci/lab root` makes.
const std::vector<std::string>& places();
// "host", "pinned", "dmirror", and those of the places: "lab:host", "debian13:host" ...
std::vector<std::string> target_words();
// Parses [PLACE:]TARGET. The target itself may contain colons. Throws BadInput with a suggestion.
TargetWord parse_target(const std::string& word);

// The targets on which something can be run here without being asked: those of this machine, and lab:dmirror if the lab is built.
// It starts the agents of this machine, and no other.
std::vector<TargetWord> targets_here(const std::string& root);

struct LabOptions {
  std::string kernel;
  std::string append;
  std::string modules;  // where amdgpu.ko is; only for the machine with a GPU, as what follows
  std::string gpu;      // options of the GPU in software (build/softgpu --help)
  std::string flavour;  // of the lab's own kernel (ci/lab.d/flavours.py); the machine with a GPU has none
};
// How to start machines. The local agent is the one next to this executable. FAULTLINE_AGENT and FAULTLINE_LAB replace
// the command lines of the agent and of ci/lab. The files with a machine's console and stderr get names that begin with
// `prefix`. Without a prefix nothing is kept, which is enough for a hello of the local agent.
std::function<Machine::Spec(const std::string& place, int number)> machines(const std::string& root, const LabOptions& lab,
                                                                            const std::string& prefix);

// What a shell command said, on both of its outputs.
struct Answer {
  int status = 127;
  std::string words;
  // Says what is wrong.
  std::string last_line() const { return words.substr(words.rfind('\n') + 1); }
};
Answer answer_of(const std::string& shell_command);

// The reference, with a cache of its answers.
Predictor reference();

// Watches Ctrl-C and SIGTERM: the first asks the run to end in good order, the second to end at once. SIGHUP asks for good
// order, however often it comes; it stays ignored under nohup.
void watch_signals();
Stop stop_asked();

}  // namespace faultline::app
