// Reports for a person, made from values. Pure functions, so that tests can check the exact words.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/agent/protocol.h"
#include "harness/language/diagnostic.h"
#include "harness/run/run.h"
#include "harness/run/trial.h"

namespace faultline {

// A cell of a table, padded with blanks: on its right by padded(), on its left by right().
std::string padded(const std::string& text, std::size_t width);
std::string right(const std::string& text, std::size_t width);

// "1 page", "2 pages".
std::string plural(std::size_t count, const std::string& noun);

// 1.25 with one digit behind the point: "1.2".
std::string fixed(double value, int digits);

// A line that says where the journal is, or why it is not complete. Empty without both.
std::string journal_text(const std::string& journal, const std::string& failure);

struct ReportStyle {
  bool verbose = false;  // print documentation and every observable
  bool unseen = false;   // print the allowed outcomes that were not seen
  std::string journal;   // the path of a journal to replay from; empty: none
  // Command-line options that change what a run on a target does ("--lab-kernel", "x").
  std::function<std::vector<std::string>(const std::string& target)> options;
  std::size_t histogram_lines = 40;
  std::uint64_t iterations = 1000;  // the least number of iterations in the command that repeats the run
};

// The block of one trial, as litmus7 prints it.
std::string trial_text(const Trial& trial, const ReportStyle& style);

// The command that repeats the run with an outcome.
std::string again_command(const Trial& trial, const Tally& tally, const ReportStyle& style);
// The same for the first outcome that is not allowed. If there is none: from the trial's first iteration on.
std::string again_command(const Trial& trial, const ReportStyle& style);

// What was found, as it is told at once: two lines.
std::string finding_line(const Finding& finding, const std::string& again);

// Counts by verdict and target, the trials that did not agree with the commands that repeat them, how many were skipped for
// each reason, and the reason for the exit code.
std::string summary_text(const RunResult& result, const ReportStyle& style, const std::string& journal, int exit_code);

struct ClaimRow {
  Claim claim;
  ClaimCheck check;
};
std::string prediction_text(const Program& program, DeviceClass device_class, const Allowed& allowed,
                            const std::vector<ClaimRow>& claims, bool all);

// The error message, in the scenario's text, for a claim that the reference refutes.
Diagnostic refutation(const Scenario& scenario, const Claim& claim, const Allowed& allowed, const ClaimCheck& check);

// The error message for threads that wait for ever in some execution.
Diagnostic endless_wait(const Scenario& scenario, const Allowed& allowed);

// The release of "6.12.95 #1 SMP ...".
std::string kernel_release(const std::string& kernel);

// Quotes a word for the shell.
std::string shell_word(const std::string& word);

// Replaces control characters in text of a machine or a scenario, before it is printed to a terminal.
std::string printable(const std::string& text);

}  // namespace faultline
