// faultline targets
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/app/gpus_text.h"
#include "harness/language/words.h"
#include "harness/run/report.h"

namespace faultline::app {
namespace {

using nlohmann::json;

constexpr const char* examples =
    "Examples:\n"
    "  faultline targets                         and how many of the project's scenarios run there\n"
    "  faultline targets my.scn                  where my.scn runs, and why not elsewhere\n"
    "  faultline targets --json                  an array of targets; this machine's GPUs are in the one named host";

struct Arguments {
  std::vector<std::string> paths;
  bool as_json = false;
};

struct Answer {
  int status = 0;
  std::string words;
};

// What a command of ci/lab says. It does not boot anything.
Answer ask_lab(const std::string& root, const std::string& command) {
  const char* own = std::getenv("FAULTLINE_LAB");
  const std::string line = (own ? std::string(own) : shell_word(root + "/ci/lab")) + " " + command + " 2>&1";
  Answer answer{127, ""};
  std::FILE* pipe = ::popen(line.c_str(), "r");
  if (!pipe) return answer;
  std::array<char, 4096> bytes;
  while (std::size_t got = std::fread(bytes.data(), 1, bytes.size(), pipe)) answer.words.append(bytes.data(), got);
  const int status = ::pclose(pipe);
  answer.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  while (answer.words.ends_with('\n')) answer.words.pop_back();
  return answer;
}

// The last line says what is wrong.
std::string last_line(const std::string& text) {
  const std::size_t end = text.rfind('\n');
  return end == std::string::npos ? text : text.substr(end + 1);
}

// What the agent of a machine says of itself.
struct Greeting {
  std::optional<agent::HelloEvent> hello;
  std::string failure;
};

Greeting greet(const std::string& root, const std::string& machine) {
  try {
    Session session(machines(root, {}, "")(machine, 1), {}, stop_asked, {});
    return {session.hello(), ""};
  } catch (const StartFailure& error) {
    return {std::nullopt, std::string("the agent does not start: ") + error.what()};
  }
}

// The rows of a machine's targets: of the one that `target` names, or of all its OpenCL devices.
void add_rows(std::vector<TargetRow>& rows, const TargetWord& target, const Greeting& greeting) {
  TargetRow row;
  row.word = target.word();
  row.why = greeting.hello ? "the agent does not know it" : greeting.failure;
  row.known = false;
  bool found = false;
  if (greeting.hello)
    for (const agent::TargetInfo& info : greeting.hello->targets) {
      const TargetWord own{target.place, info.name};
      if (target.is_opencl() ? !own.is_opencl() : info.name != target.name) continue;
      const bool nameless = info.about.empty() && target.place == "debian13";
      const std::string about = nameless ? "this machine's kernel under Debian 13" : info.about;
      row = {own.word(), info.available, info.available ? about : info.why,
             info.available ? greeting.hello->files : "", info.capabilities, 0, {}, info.available || !own.is_opencl()};
      rows.push_back(row);
      found = true;
    }
  if (!found) rows.push_back(row);
}

std::vector<TargetRow> rows_of(const std::string& root) {
  std::vector<TargetRow> rows;
  std::map<std::string, Greeting> greetings;
  const auto greeting = [&](const std::string& machine) -> const Greeting& {
    const auto found = greetings.find(machine);
    return found != greetings.end() ? found->second : greetings.emplace(machine, greet(root, machine)).first->second;
  };
  const Answer lab = ask_lab(root, "path");
  const Answer debian13 = ask_lab(root, "root --path");
  for (const std::string& word : target_words()) {
    const TargetWord target = parse_target(word);
    if (target.place == "lab") {
      const std::optional<agent::HelloEvent>& here = greeting("").hello;
      const agent::TargetInfo* info = here ? find_target(*here, target.name) : nullptr;
      TargetRow row{word, lab.status == 0, lab.status == 0 ? "in the virtual lab, which starts in seconds" : last_line(lab.words),
                    "", info ? info->capabilities : Capabilities{}, 0, {}};
      row.capabilities.sight.identity = true;  // the agent is root there
      row.capabilities.direct = true;          // an ext4 on a RAM disk
      rows.push_back(row);
    } else if (target.place == "debian13" && debian13.status != 0) {
      rows.push_back({word, false, last_line(debian13.words), "", {}, 0, {}, false});
    } else {
      add_rows(rows, target, greeting(target.machine()));
    }
  }
  return rows;
}

Allowed predicted(const Program& program, const Capabilities& can) {
  return reference()(program, can.device_class, [](std::uint64_t) { return stop_asked() == Stop::none; });
}

void add_scenarios(TargetRow& row, const std::vector<Scenario>& scenarios) {
  for (const Scenario& scenario : scenarios) {
    std::string why = row.known ? cannot_run(scenario.program, row.capabilities) : row.why;
    const bool usm = std::ranges::any_of(scenario.program.regions, [](const Region& region) { return is_usm(region.backing); });
    if (why.empty() && usm) why = cannot_run(scenario.program, predicted(scenario.program, row.capabilities), row.capabilities);
    if (why.empty()) row.runs++;
    else row.does_not_run.emplace_back(scenario.program.name, why);
  }
}

// What of a kind of USM there is, in words.
json usm_words(const UsmAccess& usm) {
  json words = json::array();
  if (usm.access) words.push_back("access");
  if (usm.atomics) words.push_back("atomics");
  if (usm.concurrent) words.push_back("concurrent");
  if (usm.concurrent_atomics) words.push_back("concurrent_atomics");
  return words;
}

json to_json(const TargetRow& row, std::size_t scenarios) {
  const Capabilities& can = row.capabilities;
  json skips = json::array();
  for (const auto& [name, why] : row.does_not_run) skips.push_back({{"scenario", name}, {"why", why}});
  return {{"target", row.word}, {"available", row.available}, {"why", row.why},
          {"class", words::text(words::device_classes, can.device_class)}, {"faults", can.sight.faults},
          {"identity", can.sight.identity}, {"migrate", can.migrate}, {"snapshot", can.snapshot},
          {"pin", can.pin}, {"exclusive", can.exclusive}, {"direct", can.direct}, {"files", row.files},
          {"svm", {{"coarse", can.svm_coarse}, {"fine", can.svm_fine}, {"system", can.svm_coarse && can.system},
                   {"atomics", can.atomics}}},
          {"usm", {{"host", usm_words(can.usm_host)}, {"shared", usm_words(can.usm_shared)}, {"device", usm_words(can.usm_device)}}},
          {"device_address", can.device_address},
          {"scenarios", scenarios}, {"runs", row.runs}, {"does_not_run", skips}};
}

int targets_command(const Arguments& arguments) {
  const std::string root = project_root();
  std::vector<std::string> paths = arguments.paths;
  if (paths.empty() && std::filesystem::is_directory(root + "/stress/scenarios")) paths = {root + "/stress/scenarios"};
  const std::vector<Scenario> scenarios = load_scenarios(paths);
  watch_signals();
  std::vector<TargetRow> rows = rows_of(root);
  const GpuList gpus = list_gpus();
  json all = json::array();
  for (TargetRow& row : rows) {
    add_scenarios(row, scenarios);
    all.push_back(to_json(row, scenarios.size()));
    // They are the machine's, and this row is its own.
    if (row.word == "host") all.back()["gpus"] = gpus_json(gpus);
  }
  if (arguments.as_json) std::cout << all.dump(-1, ' ', false, json::error_handler_t::replace) << "\n";
  else std::cout << targets_text(rows, scenarios.size()) << gpus_text(gpus);
  return exits::agree;
}

}  // namespace

void add_targets(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("targets", "What can be tested here, on which GPUs, and what would help where it cannot");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("PATH", arguments->paths, "Scenarios and folders of them [stress/scenarios]");
  command->add_flag("--json", arguments->as_json, "For programs");
  command->footer(examples);
  command->callback([arguments, &status] { status = targets_command(*arguments); });
}

}  // namespace faultline::app
