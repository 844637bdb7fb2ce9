// faultline targets
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "drm_glue/gpus/gpu.h"
#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/app/scratch_folder.h"
#include "harness/language/words.h"
#include "results/gpus_text.h"
#include "results/report.h"
#include "results/targets_text.h"

namespace faultline::app {
namespace {

using nlohmann::json;

constexpr const char* examples =
    "Examples:\n"
    "  faultline targets                         all targets, and how many of the project's scenarios run on each\n"
    "  faultline targets -t host                 which scenarios do not run on host, by name\n"
    "  faultline targets my.scn                  where my.scn runs, and why not elsewhere\n"
    "  faultline targets -t lab                  starts the virtual lab and asks it for its targets and GPUs\n"
    "  faultline targets --json                  an array of targets; the GPUs of a machine are in its first one\n"
    "\n"
    "Without -t the lab is not booted, and the GPUs are those of this machine.\n"
    "Exit codes: 0, or 3 when a target of -t is not available; 2 bad usage or input.";

struct Arguments {
  std::vector<std::string> targets;
  std::vector<std::string> paths;
  bool as_json = false;
};

// Of a command of ci/lab that does not boot anything.
Answer ask_lab(const std::string& root, const std::string& command) {
  const char* own = std::getenv("FAULTLINE_LAB");
  return answer_of((own ? std::string(own) : shell_word(root + "/ci/lab")) + " " + command);
}

// What the agent of a machine reports about itself, and about the GPUs if asked.
struct Greeting {
  std::optional<agent::HelloEvent> hello;
  std::string failure;
  std::optional<GpuList> gpus;
};

Greeting greet(const std::string& root, const std::string& machine, bool with_gpus) {
  const ScratchFolder scratch;
  try {
    Session session(machines(root, {}, scratch.path() + "/")(machine, 1), {}, stop_asked, {});
    return {session.hello(), "", with_gpus ? std::optional(session.gpus(stop_asked)) : std::nullopt};
  } catch (const StartFailure& error) {
    const std::string words = error.words.empty() ? "" : ": " + error.words.back();
    return {std::nullopt, std::string("the agent does not start: ") + error.what() + words, std::nullopt};
  }
}

// Adds rows for the machine's targets that `target` names.
void add_rows(std::vector<TargetRow>& rows, const TargetWord& target, const Greeting& greeting) {
  TargetRow row;
  row.word = target.word();
  row.why = greeting.hello ? "the agent does not know it" : greeting.failure;
  row.known = false;
  bool found = false;
  if (greeting.hello)
    for (const agent::TargetInfo& info : greeting.hello->targets) {
      const TargetWord own{target.place, info.name};
      if (!names_target(target.name, info.name)) continue;
      const bool nameless = info.about.empty() && target.place == "debian13";
      const std::string about = nameless ? "this machine's kernel under Debian 13" : info.about;
      row = {own.word(),
             info.available,
             info.available ? about : info.why,
             info.available ? greeting.hello->files : "",
             info.capabilities,
             0,
             {},
             info.available || !own.has_devices()};
      rows.push_back(row);
      found = true;
    }
  if (!found) rows.push_back(row);
}

// The targets that the words of -t name. A place stands for all of its targets.
std::vector<TargetWord> targets_of(const std::vector<std::string>& words) {
  std::vector<TargetWord> targets;
  const auto add = [&targets](const TargetWord& target) {
    if (std::ranges::find(targets, target) == targets.end()) targets.push_back(target);
  };
  for (const std::string& word : words) {
    if (std::ranges::find(places(), word) == places().end()) {
      add(parse_target(word));
      continue;
    }
    for (const std::string& each : target_words())
      if (const TargetWord target = parse_target(each); target.place == word) add(target);
  }
  return targets;
}

struct Rows {
  std::vector<TargetRow> targets;
  std::map<std::string, GpuList> gpus;  // by place
};

// `asked`: the user named the targets, so machines may be booted. Otherwise nothing is booted.
Rows rows_of(const std::string& root, const std::vector<TargetWord>& targets, bool asked) {
  Rows rows;
  std::map<std::string, Greeting> greetings;
  const auto greeting = [&](const std::string& machine) -> const Greeting& {
    const bool elsewhere = !machine.empty() && machine != "opencl";
    const auto [found, fresh] = greetings.try_emplace(machine);
    if (fresh) found->second = greet(root, machine, asked && elsewhere);
    if (found->second.gpus) rows.gpus.emplace(machine, *found->second.gpus);
    return found->second;
  };
  std::map<std::string, Answer> built;
  const auto is_built = [&](const std::string& machine) -> const Answer& {
    const auto [found, fresh] = built.try_emplace(machine);
    if (fresh) found->second = ask_lab(root, machine == "lab" ? "path" : machine == "lab-gpu" ? "path --amdgpu" : "root --path");
    return found->second;
  };
  for (const TargetWord& target : targets) {
    if (target.place.empty()) {
      if (!rows.gpus.contains("")) rows.gpus.emplace("", list_gpus());
      add_rows(rows.targets, target, greeting(target.machine()));
    } else if (const Answer& answer = is_built(target.machine()); answer.status != 0 && (asked || target.place != "lab")) {
      rows.targets.push_back({target.word(), false, answer.last_line(), "", {}, 0, {}, false});
    } else if (target.place == "lab" && !asked) {
      const std::optional<agent::HelloEvent>& here = greeting("").hello;
      const agent::TargetInfo* info = here ? find_target(*here, target.name) : nullptr;
      TargetRow row{target.word(),
                    answer.status == 0,
                    answer.status == 0 ? "in the virtual lab, which starts in seconds" : answer.last_line(),
                    "",
                    info ? info->capabilities : Capabilities{},
                    0,
                    {}};
      row.capabilities.sight.identity = true;  // the agent is root in the lab
      row.capabilities.sight.location = target.name == "dmirror";
      row.capabilities.direct = true;  // an ext4 on a RAM disk
      row.capabilities.uffd = true;
      rows.targets.push_back(row);
    } else {
      add_rows(rows.targets, target, greeting(target.machine()));
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

// The accesses that a kind of USM supports, in words.
json usm_words(const UsmAccess& usm) {
  json words = json::array();
  for (const UsmCapability& row : usm_table)
    if (usm.*row.member) words.push_back(row.name);
  return words;
}

json to_json(const TargetRow& row, std::size_t scenarios) {
  const Capabilities& can = row.capabilities;
  json skips = json::array();
  for (const auto& [name, why] : row.does_not_run) skips.push_back({{"scenario", name}, {"why", why}});
  json object = {{"target", row.word},
                 {"available", row.available},
                 {"why", row.why},
                 {"files", row.files},
                 {"class", words::text(words::device_classes, can.device_class)},
                 {"scenarios", scenarios},
                 {"runs", row.runs},
                 {"does_not_run", skips}};
  for (const Capability& each : capability_table) {
    const std::string name(each.name);
    // "system" counts as SVM only if the device has SVM buffers too.
    if (each.line == Capability::Line::svm)
      object["svm"][name.starts_with("svm_") ? name.substr(4) : name] =
          each.of(can) && (can.svm_coarse || each.member != &Capabilities::system);
    else object[name] = each.of(can);
  }
  for (const UsmKind& kind : usm_kinds) object["usm"][std::string(kind.name)] = usm_words(can.*kind.member);
  return object;
}

int targets_command(const Arguments& arguments) {
  const std::string root = project_root();
  const std::vector<Scenario> scenarios = load_scenarios(paths_or_all(arguments.paths, root));
  watch_signals();
  const bool asked = !arguments.targets.empty();
  Rows rows = rows_of(root, targets_of(asked ? arguments.targets : target_words()), asked);
  std::map<std::string, GpuList> gpus = rows.gpus;
  json all = json::array();
  for (TargetRow& row : rows.targets) {
    add_scenarios(row, scenarios);
    all.push_back(to_json(row, scenarios.size()));
    // GPUs belong to a machine, so its first row has them.
    if (const auto node = gpus.extract(parse_target(row.word).place)) all.back()["gpus"] = gpus_json(node.mapped());
  }
  if (arguments.as_json) {
    std::cout << all.dump(-1, ' ', false, json::error_handler_t::replace) << "\n";
  } else {
    const bool names = asked || !arguments.paths.empty();
    std::cout << targets_text(rows.targets, scenarios.size(), names);
    for (const auto& [place, list] : rows.gpus) std::cout << gpus_text(place, list);
    if (!names) std::cout << "Which scenarios do not run on a target: faultline targets -t TARGET\n";
  }
  return asked && !std::ranges::all_of(rows.targets, &TargetRow::available) ? exits::undecided : exits::agree;
}

}  // namespace

std::vector<TargetWord> targets_here(const std::string& root) {
  std::vector<TargetWord> here;
  for (const TargetRow& row : rows_of(root, targets_of(target_words()), false).targets) {
    const TargetWord target = parse_target(row.word);
    if (row.available && (target.place.empty() || target.word() == "lab:dmirror")) here.push_back(target);
  }
  return here;
}

void add_targets(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("targets", "What can be tested here, on which GPUs, and how to get what is missing");
  auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("-t,--target", arguments->targets,
                   "Only this target, or all targets of a place (lab, debian13), which is started")
      ->allow_extra_args(false)
      ->type_name("TARGET");
  command->add_option("PATH", arguments->paths, "Scenarios and folders of them [stress/scenarios]");
  command->add_flag("--json", arguments->as_json, "For programs");
  command->footer(examples);
  command->callback([arguments, &status] { status = targets_command(*arguments); });
}

}  // namespace faultline::app
