#include "harness/app/run_options.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <system_error>

#include <unistd.h>

#include "results/report.h"

namespace faultline::app {
namespace fs = std::filesystem;

CLI::Validator above_zero(double largest) {
  return CLI::Validator(
      [largest](std::string& text) {
        double value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool is_number = error == std::errc() && end == text.data() + text.size();
        if (is_number && value > 0 && value <= largest) return std::string();
        char most[32];
        std::snprintf(most, sizeof most, "%.0f", largest);
        return is_number && value > largest ? "more than " + std::string(most) + ": '" + text + "'"
                                            : "not a number above 0: '" + text + "'";
      },
      "");
}

CLI::Validator a_seed() {
  return CLI::Validator(
      [](std::string& text) {
        std::uint64_t value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool good = error == std::errc() && end == text.data() + text.size();
        return good ? std::string() : "not a number from 0 to 2^64 - 1: '" + text + "'";
      },
      "");
}

std::vector<std::string> own_command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

void add_kernel_options(CLI::App& command, LabOptions& lab) {
  command.add_option("--lab-kernel", lab.kernel, "A kernel image of your own for the lab")->type_name("FILE");
  command.add_option("--lab-append", lab.append, "Words for the lab kernel's command line")->type_name("WORDS");
  command
      .add_option("--lab-flavour", lab.flavour,
                  "The lab's kernel with other options. kasan: sees every use after free and access out of bounds, slower "
                  "('ci/lab build --flavour kasan' first)")
      ->type_name("NAME");
}

void add_lab_options(CLI::App& command, LabOptions& lab) {
  add_kernel_options(command, lab);
  command.add_option("--lab-modules", lab.modules, "Where your own amdgpu.ko is, such as a build tree (lab:amdgpu)")
      ->type_name("DIR");
  command
      .add_option("--lab-gpu", lab.gpu,
                  "Words for the GPU in software of lab:amdgpu, such as '--vram 64M --seed 5' ('build/softgpu --help')")
      ->type_name("WORDS");
}

std::vector<TargetWord> targets_of(const std::vector<std::string>& words, const LabOptions& options, bool in_lab) {
  std::vector<TargetWord> targets;
  for (const std::string& word : words) {
    const TargetWord target = parse_target(word);
    if (std::find(targets.begin(), targets.end(), target) == targets.end()) targets.push_back(target);
  }
  const bool lab = std::ranges::any_of(targets, &TargetWord::own_kernel);
  const bool gpu = std::ranges::any_of(targets, &TargetWord::own_gpu);
  if (!lab && !(options.kernel.empty() && options.append.empty() && !in_lab))
    throw BadInput("faultline: --lab-kernel and --lab-append need a target in the lab; did you mean '-t lab:" +
                   targets.front().name + "'?\n");
  if (!gpu && !(options.modules.empty() && options.gpu.empty()))
    throw BadInput("faultline: --lab-modules and --lab-gpu need '-t lab:amdgpu'\n");
  if (!options.kernel.empty() && ::access(options.kernel.c_str(), R_OK) != 0)
    throw BadInput("faultline: --lab-kernel " + options.kernel + ": " + std::strerror(errno) + "\n");
  check_flavour(options, targets);
  return targets;
}

void check_flavour(const LabOptions& lab, const std::vector<TargetWord>& targets) {
  if (lab.flavour.empty()) return;
  if (!lab.kernel.empty())
    throw BadInput("faultline: --lab-flavour chooses a kernel of the lab's own, --lab-kernel one of yours: give one of them\n");
  if (std::ranges::none_of(targets, &TargetWord::own_kernel))
    throw BadInput("faultline: --lab-flavour needs a target in the lab; did you mean '-t lab:" + targets.front().name + "'?\n");
  if (std::ranges::any_of(targets, &TargetWord::own_gpu))
    throw BadInput("faultline: --lab-flavour has no amdgpu: run lab:amdgpu without it\n");
}

void check_lab(const std::string& root, const LabOptions& lab, const std::vector<TargetWord>& targets) {
  if (lab.kernel.empty() && lab.modules.empty() && lab.gpu.empty() && lab.flavour.empty()) return;
  std::set<std::string> checked;
  for (const TargetWord& target : targets) {
    if (!target.own_kernel() || !checked.insert(target.machine()).second) continue;
    Machine::Spec spec = machines(root, lab, "")(target.machine(), 1);
    spec.command.push_back("--check");
    std::string line;
    for (const std::string& word : spec.command) line += shell_word(word) + " ";
    const Answer answer = answer_of(line);
    if (answer.status == exits::usage) throw BadInput("faultline: " + answer.last_line() + "\n");
  }
}

std::optional<KernelTree> kernel_tree_for(const LabOptions& lab) {
  if (!lab.flavour.empty()) return std::nullopt;
  return kernel_tree(lab.kernel.empty() ? fs::current_path() : fs::path(lab.kernel));
}

std::string take_kernel(const std::optional<KernelTree>& tree, const std::vector<TargetWord>& targets, LabOptions& lab) {
  if (std::ranges::none_of(targets, &TargetWord::own_kernel)) return {};
  if (!tree && lab.kernel.empty() && lab.flavour.empty() && in_unbuilt_source(fs::current_path()))
    std::fputs("faultline: no kernel was built in this source tree (make bzImage): the lab's own runs\n", stderr);
  if (!tree || !lab.kernel.empty()) return tree ? commit_of(*tree) : "";
  lab.kernel = tree->image;
  if (lab.modules.empty() && std::ranges::any_of(targets, &TargetWord::own_gpu)) {
    if (!has_amdgpu(*tree))
      throw BadInput("faultline: the kernel in " + tree->folder + " has no amdgpu.ko, which lab:amdgpu needs: build it with " +
                     "CONFIG_DRM_AMDGPU=m and 'make modules', or call faultline from another folder\n");
    lab.modules = tree->folder;
  }
  return commit_of(*tree);
}

std::string kernel_line(const std::optional<KernelTree>& tree, const RunOptions& options, const LabOptions& lab) {
  if (!tree || std::ranges::none_of(options.targets, &TargetWord::own_kernel)) return {};
  return "Kernel " + lab.kernel + (options.commit.empty() ? "" : " (" + options.commit + ")") + "\n";
}

RunFiles run_files(const std::string& journal, const std::string& root) {
  const std::string folder = root + "/results/runs/" + run_folder_name();
  if (journal.empty()) return {folder + "/journal.jsonl", folder + "/"};
  std::error_code error;
  if (!fs::exists(journal, error) || fs::is_regular_file(journal, error)) return {journal, journal + "."};
  // The journal goes to a pipe or a device, beside which no file with the machines' output can lie.
  fs::create_directories(folder);
  return {journal, folder + "/", false};
}

void forget(const RunFiles& files) {
  std::error_code error;
  if (!files.can_replay) fs::remove(fs::path(files.prefix).parent_path(), error);
}

std::unique_ptr<Journal> open_journal(const std::string& path) {
  try {
    return std::make_unique<Journal>(path);
  } catch (const NotAJournal& error) {
    throw BadInput("faultline: the journal " + std::string(error.what()) + "\n");
  } catch (const std::system_error& error) {
    throw BadInput("faultline: the journal " + path + ": " + error.code().message() + "\n");
  }
}

std::vector<std::string> options_of(const LabOptions& lab, double deadline, const TargetWord& target) {
  std::vector<std::string> words;
  if (target.own_kernel() && !lab.kernel.empty()) words.insert(words.end(), {"--lab-kernel", lab.kernel});
  if (target.own_kernel() && !lab.append.empty()) words.insert(words.end(), {"--lab-append", lab.append});
  if (target.own_kernel() && !lab.flavour.empty()) words.insert(words.end(), {"--lab-flavour", lab.flavour});
  if (target.own_gpu() && !lab.modules.empty()) words.insert(words.end(), {"--lab-modules", lab.modules});
  if (target.own_gpu()) words.insert(words.end(), {"--lab-gpu", lab.gpu});
  if (deadline > 0) {
    char text[32];
    std::snprintf(text, sizeof text, "%g", deadline);
    words.insert(words.end(), {"--deadline", text});
  }
  return words;
}

}  // namespace faultline::app
