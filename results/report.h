// What a person reads: text made from values. Pure functions, so that the exact words are tested.
#pragma once

#include <string>
#include <vector>

#include "harness/agent/protocol.h"
#include "harness/language/diagnostic.h"
#include "harness/run/run.h"
#include "harness/run/trial.h"

namespace faultline {

// A cell of a table, blanks behind it or before it.
std::string padded(const std::string& text, std::size_t width);
std::string right(const std::string& text, std::size_t width);

// "1 page", "2 pages".
std::string plural(std::size_t count, const std::string& noun);

struct ReportStyle {
  bool verbose = false;              // documentation and every observable
  bool unseen = false;               // the allowed outcomes that were not seen
  std::string journal;               // its path, where there is one to replay from
  std::vector<std::string> options;  // of the command line, that change what a run does ("--lab-kernel", "x")
  std::size_t histogram_lines = 40;
  std::uint64_t iterations = 1000;  // of the command that shows it again, at least
};

// The block of one trial, as litmus7 prints it.
std::string trial_text(const Trial& trial, const ReportStyle& style);

// The command that shows an outcome again.
std::string again_command(const Trial& trial, const Tally& tally, const ReportStyle& style);

// Counts by verdict and target, what did not agree, and why the exit code is what it is.
std::string summary_text(const RunResult& result, const std::string& journal, int exit_code);

struct ClaimRow {
  Claim claim;
  ClaimCheck check;
};
std::string prediction_text(const Program& program, DeviceClass device_class, const Allowed& allowed,
                            const std::vector<ClaimRow>& claims, bool all);

// A claim that the reference refutes, as a diagnostic of the scenario's text.
Diagnostic refutation(const Scenario& scenario, const Claim& claim, const Allowed& allowed, const ClaimCheck& check);

// Threads that wait for ever in some execution, likewise.
Diagnostic endless_wait(const Scenario& scenario, const Allowed& allowed);

// The release of "6.12.95 #1 SMP ...".
std::string kernel_release(const std::string& kernel);

// A word for a shell.
std::string shell_word(const std::string& word);

// Without control characters: text that a machine or a scenario made, on its way to a terminal.
std::string printable(const std::string& text);

}  // namespace faultline
