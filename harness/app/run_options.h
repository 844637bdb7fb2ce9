// What `run`, `stress` and `shrink` share of their command lines.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "harness/app/app.h"
#include "harness/app/kernel_tree.h"
#include "harness/run/journal.h"

namespace faultline::app {

// A number above 0, and at most `largest`. The message of CLI11's own check would print the full range of a double.
CLI::Validator above_zero(double largest);
// From 0 to 2^64 - 1. CLI11 takes -1 for the largest number, and cuts long ones short.
CLI::Validator a_seed();

std::vector<std::string> own_command_line();

// --lab-kernel, --lab-append, --lab-flavour.
void add_kernel_options(CLI::App& command, LabOptions& lab);
// ... and --lab-modules, --lab-gpu.
void add_lab_options(CLI::App& command, LabOptions& lab);

// The targets of these words, each once. Throws BadInput if a word is no target, or an option of the lab has no target there.
// `in_lab`: some other option needs the lab.
std::vector<TargetWord> targets_of(const std::vector<std::string>& words, const LabOptions& lab, bool in_lab);

// Throws BadInput if the flavour goes with another kernel, or with none of the targets, or not with all of them in the lab.
void check_flavour(const LabOptions& lab, const std::vector<TargetWord>& targets);

// Asks the lab what is wrong with its options, before anything runs. Anything but that is told by the run.
void check_lab(const std::string& root, const LabOptions& lab, const std::vector<TargetWord>& targets);

// The tree of --lab-kernel; without that option, the one from inside which faultline was called, unless a flavour is chosen.
std::optional<KernelTree> kernel_tree_for(const LabOptions& lab);
// Puts the kernel of the tree into the lab if one of the targets is there, and gives what it was built from. Throws BadInput if
// it lacks a module that a target needs. Without a tree nothing changes; one that was not built is told on stderr.
std::string take_kernel(const std::optional<KernelTree>& tree, const std::vector<TargetWord>& targets, LabOptions& lab);
// Which kernel that is, for the user. Empty if none of the targets runs on it.
std::string kernel_line(const std::optional<KernelTree>& tree, const RunOptions& options, const LabOptions& lab);

// The path of the journal, and of the files for machines' output.
struct RunFiles {
  std::string journal;
  std::string prefix;
  bool can_replay = true;
};
RunFiles run_files(const std::string& journal, const std::string& root);
// Removes the folder for machines' output if the journal is no file and no machine has said anything.
void forget(const RunFiles& files);
// Throws BadInput if that is no place for a journal.
std::unique_ptr<Journal> open_journal(const std::string& path);

// Those that change what a run on this target does. Its GPU in software gets the weather's seed by name: the seed that shows an
// outcome again is that of a slice.
std::vector<std::string> options_of(const LabOptions& lab, double deadline, const TargetWord& target);

}  // namespace faultline::app
