#include "results/report.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "harness/language/printer.h"
#include "harness/language/waits.h"
#include "harness/language/words.h"
#include "harness/run/known_bugs.h"
#include "harness/run/known_findings.h"

namespace faultline {

std::string padded(const std::string& text, std::size_t width) {
  return text.size() >= width ? text : text + std::string(width - text.size(), ' ');
}

std::string right(const std::string& text, std::size_t width) {
  return text.size() >= width ? text : std::string(width - text.size(), ' ') + text;
}

std::string plural(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string journal_text(const std::string& journal, const std::string& failure) {
  if (!failure.empty()) return "The journal could not be written: " + failure + "; what is above was not all kept\n";
  return journal.empty() ? "" : "Journal: " + journal + "\n";
}

namespace {

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// The observables with a name, or all of them if none has a name.
std::string shown(const Trial& trial, const Outcome& outcome, bool all) {
  std::string text = describe(trial.allowed.schema, trial.program, outcome, all);
  if (text.empty() && !all) text = describe(trial.allowed.schema, trial.program, outcome, true);
  return text.empty() ? "(nothing to observe)" : text;
}

struct Bar {
  std::uint64_t count = 0;
  bool allowed = true;
  std::string text;
};

std::string histogram(const Trial& trial, const ReportStyle& style) {
  std::map<std::pair<bool, std::string>, std::uint64_t> merged;
  for (const auto& [outcome, tally] : trial.seen)
    merged[{allowed_by(trial.allowed, outcome).has_value(), shown(trial, outcome, style.verbose)}] += tally.count;
  std::vector<Bar> bars;
  for (const auto& [key, count] : merged) bars.push_back({count, key.first, key.second});
  std::stable_sort(bars.begin(), bars.end(),
                   [](const Bar& a, const Bar& b) { return a.allowed != b.allowed ? !a.allowed : a.count > b.count; });
  std::size_t width = 6;
  for (const Bar& bar : bars) width = std::max(width, std::to_string(bar.count).size());
  std::string text = "Histogram (" + plural(bars.size(), "outcome") + ")\n";
  std::uint64_t rest = 0;
  std::size_t hidden = 0;
  for (std::size_t i = 0; i < bars.size(); ++i) {
    if (i >= style.histogram_lines && bars[i].allowed) {
      rest += bars[i].count, hidden++;
      continue;
    }
    text += right(std::to_string(bars[i].count), width) + (bars[i].allowed ? "  :> " : "  *> ") + bars[i].text + "\n";
  }
  if (hidden) text += right(std::to_string(rest), width) + "  :> " + plural(hidden, "more outcome") + "\n";
  return text;
}

std::string unseen_text(const Trial& trial) {
  std::string text;
  for (const Outcome& outcome : never_seen(trial)) text += "  unseen  " + shown(trial, outcome, true) + "\n";
  return text;
}

std::string observations(const Trial& trial) {
  std::string text;
  for (const auto& [gap, iterations] : gaps(trial))
    text += "No claim " + trial.program.name + " " + std::to_string(iterations) + ": " + gap.first + " " + printable(gap.second) +
            "\n";
  for (const Claim& claim : trial.program.claims) {
    const std::string words = "  " + one_line(print(claim)) + "\n";
    const std::optional<ClaimCount> counted = count(claim, trial);
    if (!counted) {
      text += "Observation " + trial.program.name + " not observable on " + trial.target + "\n" + words;
      continue;
    }
    const char* kind = counted->holds == 0 ? "Never" : counted->fails == 0 ? "Always" : "Sometimes";
    text += "Observation " + trial.program.name + " " + kind + " " + std::to_string(counted->holds) + " " +
            std::to_string(counted->fails) + "\n" + words;
  }
  return text;
}

std::string commands_text(const Trial& trial) {
  const CommandTimes& times = trial.times;
  if (times.commands == 0) return {};
  const auto of = [](const Durations& all) {
    const auto us = [](std::uint64_t ns) { return fixed(static_cast<double>(ns) / 1e3, 1); };
    return us(all.quantile(0.5)) + " us (longest " + us(all.longest_ns) + ")";
  };
  std::string text = "Commands " + trial.program.name + " " + std::to_string(times.commands) + ": waited " + of(times.waited) +
                     ", ran " + of(times.ran) + "\n";
  if (times.disordered > 0)
    text += "  Out of order, the driver says (queued, submitted, started, ended): " + std::to_string(times.disordered) + "\n";
  return text;
}

std::string differences(const Trial& trial, const Outcome& outcome) {
  const std::optional<Nearest> near = nearest_allowed(trial.allowed, outcome);
  if (!near) return "Nothing is allowed at all\n";
  std::string text = "Nearest allowed outcome: differs in " + std::to_string(near->differs.size()) + " of " +
                     plural(outcome.size(), "observable") + "\n";
  std::size_t width = 0;
  for (std::size_t index : near->differs) width = std::max(width, trial.allowed.schema[index].key.size());
  for (std::size_t index : near->differs)
    text += "  " + padded(trial.allowed.schema[index].key, width) + "  seen " + outcome[index] + ", allowed " +
            trial.allowed.outcomes[near->outcome][index] + "\n";
  return text;
}

std::string device_text(const Trial& trial) { return trial.device.empty() ? "" : ", " + printable(trial.device); }

std::string stray_text(const Trial& trial, const ReportStyle& style) {
  constexpr std::size_t in_full = 3;
  const std::vector<Outcome> strays = not_allowed(trial);
  std::string text;
  for (std::size_t i = 0; i < std::min(strays.size(), in_full); ++i) {
    const Tally& tally = trial.seen.at(strays[i]);
    text += trial.allowed.complete
                ? "Forbidden outcome"
                : "Outcome that the prediction, incomplete after " + plural(trial.allowed.states, "state") + ", lacks";
    text += ": seen " + plural(tally.count, "time") + ", first in iteration " + std::to_string(tally.iteration) + "\n  " +
            describe(trial.allowed.schema, trial.program, strays[i], true) + "\n" + differences(trial, strays[i]);
    text += "Parameters: seed " + std::to_string(tally.seed) + ", batch seed " + std::to_string(tally.batch_seed) + ", CPUs";
    if (tally.cpus.empty()) text += " free";
    for (int cpu : tally.cpus) text += cpu < 0 ? " free" : " " + std::to_string(cpu);
    for (const std::string& disturbed : tally.disturbed) text += "\nDisturbed: " + printable(disturbed);
    text += "\nTarget: " + trial.target + ", Linux " + printable(trial.kernel) + device_text(trial) +
            "\nAgain: " + again_command(trial, tally, style) + "\n";
  }
  if (strays.size() > in_full) text += "and " + plural(strays.size() - in_full, "more such outcome") + ", in the journal\n";
  return text;
}

std::string lines(const std::string& title, const std::vector<std::string>& content, std::size_t limit) {
  if (content.empty()) return "";
  std::string text = title.empty() ? "" : title + "\n";
  for (std::size_t i = 0; i < content.size() && i < limit; ++i) text += "  | " + printable(content[i]) + "\n";
  if (content.size() > limit) text += "  | and " + plural(content.size() - limit, "more line") + ", in the journal\n";
  return text;
}

std::string known_text(const Trial& trial) {
  std::string text;
  for (const KnownFinding& finding : known_findings()) {
    if (!trial.known.contains(finding.name)) continue;
    text += "No finding: " + known_finding_text(finding) + "\n";
    if (finding.ends_machine && trial.machines_lost > 0)
      text += "Machines lost: " + std::to_string(trial.machines_lost) +
              (trial.given_up ? "; the scenario was not tried again\n" : "; the run went on with a new one\n");
  }
  return text;
}

// The trial from its beginning, for what has no outcome to show.
Tally start_of(const Trial& trial) {
  Tally start;
  start.seed = trial.seed;
  return start;
}

std::string trouble_text(const Trial& trial, const ReportStyle& style) {
  std::string text = lines("Kernel log:", told_once(trial.health), 60);
  if (!trial.crash.empty())
    text += "Crash: " + printable(trial.crash) +
            (trial.crashes > 1 ? "; " + std::to_string(trial.crashes) + " times in all" : "") + "\nTarget: " + trial.target +
            ", Linux " + printable(trial.kernel) + device_text(trial) + "\n";
  if (const std::string& hang = trial.hang.empty() ? trial.undecided : trial.hang; !trial.hang.empty() || !trial.threads.empty())
    text += "Hang: " + printable(hang) + "\n" + lines("", trial.threads, 200);
  if (!trial.lost.empty()) {
    text += "Lost: " + printable(trial.lost) + "\n" + lines("Last words:", trial.words, 40);
    text += trial.machines_lost > 1 ? "The scenario was tried again on a new machine, which was lost too\n"
                                    : "Machines lost: 1; the run went on with a new one\n";
  } else {
    text += lines(trial.error.empty() ? "The driver's words in the kernel log:" : "Last words:", trial.words, 40);
  }
  if (!trial.error.empty()) text += "Error: " + printable(trial.error) + "\n";
  const std::string driver = lines("Driver:", trial.driver, 60);
  const std::string gpu = lines("The GPU in software, until about then (" + trial.gpu_log + "):", trial.gpu, 40);
  if (text.empty()) return driver + gpu;  // the outcome that they are about has its own command
  return driver + text + gpu + "Again: " + again_command(trial, start_of(trial), style) + "\n";
}

}  // namespace

std::string printable(const std::string& text) {
  std::string result = text;
  for (char& c : result)
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f) c = '?';
  return result;
}

std::string shell_word(const std::string& word) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_./:=,+@%").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string kernel_release(const std::string& kernel) { return printable(kernel.substr(0, kernel.find(' '))); }

std::string again_command(const Trial& trial, const Tally& tally, const ReportStyle& style) {
  const std::uint64_t iterations = std::max(style.iterations, tally.iteration + 1);
  std::string text = "faultline run -t " + shell_word(trial.target) + " --seed " + std::to_string(tally.seed) + " --iterations " +
                     std::to_string(iterations);
  if (style.options)
    for (const std::string& option : style.options(trial.target)) text += " " + shell_word(option);
  if (tally.line && !style.journal.empty()) text += " --replay " + shell_word(style.journal + ":" + std::to_string(tally.line));
  return text + " " + shell_word(trial.file);
}

std::string again_command(const Trial& trial, const ReportStyle& style) {
  const std::vector<Outcome> strays = not_allowed(trial);
  return again_command(trial, strays.empty() ? start_of(trial) : trial.seen.at(strays.front()), style);
}

std::string trial_text(const Trial& trial, const ReportStyle& style) {
  const std::string& name = trial.program.name;
  const Verdict found = verdict(trial);
  std::string text = "Test " + name + " on " + trial.target + "\n";
  if (style.verbose && !trial.program.doc.empty()) text += "  " + printable(trial.program.doc) + "\n";
  if (trial.iterations > 0) {
    text += histogram(trial, style);
    text += "Allowed outcomes seen: " + std::to_string(allowed_seen(trial)) + " of " +
            std::to_string(trial.allowed.outcomes.size()) + (trial.allowed.complete ? "" : " (prediction incomplete)") + "\n" +
            (style.unseen ? unseen_text(trial) : "") + observations(trial) + stray_text(trial, style);
  }
  if (trial.slow)
    text += "Slow: " + plural(trial.slow, "iteration") + " past the deadline on a machine too slow to tell a hang; not counted" +
            (trial.slow_why.empty() ? "" : " (the last: " + printable(trial.slow_why) + ")") + "\n";
  text += known_text(trial) + trouble_text(trial, style);
  text += commands_text(trial);
  if (const std::string calls = calls_text(trial.calls, style.verbose); !calls.empty())
    text += "Driver " + name + ": " + printable(calls) + "\n";
  if (trial.iterations > 0) text += "Time " + name + " " + fixed(trial.seconds, 2) + "\n";
  text += "Verdict " + name + " " + verdict_text(found) + " (" + trial.target;
  if (!trial.kernel.empty()) text += ", Linux " + kernel_release(trial.kernel);
  if (!trial.commit.empty()) text += " (" + printable(trial.commit) + ")";
  if (!trial.kernel.empty()) text += device_text(trial);
  if (trial.iterations > 0) text += ", " + plural(trial.iterations, "iteration") + ", seed " + std::to_string(trial.seed);
  text += ")";
  const std::string why = reason(trial);
  return text + (why.empty() ? "" : ": " + one_line(printable(why))) + "\n";
}

std::string finding_line(const Finding& finding, const std::string& again) {
  return std::string("Found ") + finding_text(finding.what) + ": " + finding.scenario + " on " + finding.target + ", " +
         fixed(finding.seconds, 1) + " s after the start, in " + plural(finding.iterations, "iteration") + ": " +
         one_line(printable(finding.why)) + "\n  Again: " + again + "\n";
}

std::string summary_text(const RunResult& result, const ReportStyle& style, const std::string& journal, int exit_code) {
  std::vector<std::string> targets;
  std::map<std::string, std::map<Verdict, std::size_t>> counts;
  std::map<std::string, std::uint64_t> iterations;
  std::set<Verdict> columns{Verdict::agree};
  std::size_t not_run = 0;
  std::string details;
  std::map<std::pair<std::string, std::string>, std::size_t> skipped;  // by target and reason
  for (const Trial& trial : result.trials) {
    if (std::find(targets.begin(), targets.end(), trial.target) == targets.end()) targets.push_back(trial.target);
    if (!trial.started) {
      not_run++;
      continue;
    }
    const Verdict found = verdict(trial);
    counts[trial.target][found]++;
    iterations[trial.target] += trial.iterations;
    columns.insert(found);
    const std::string why = one_line(printable(reason(trial)));
    if (found == Verdict::skipped) ++skipped[{trial.target, why}];
    else if (found != Verdict::agree)
      details += "  " + padded(verdict_text(found), 12) + " " + trial.program.name + " on " + trial.target + ": " + why +
                 "\n      Again: " + again_command(trial, style) + "\n";
  }
  for (const auto& [what, count] : skipped)
    details +=
        "  " + padded("skipped", 12) + " " + right(std::to_string(count), 3) + " on " + what.first + ": " + what.second + "\n";
  std::size_t width = 8;
  for (const std::string& target : targets) width = std::max(width, target.size());
  std::string text = padded("Summary", width + 2);
  for (Verdict column : columns) text += "  " + right(verdict_text(column), 9);
  text += "  " + right("iterations", 12) + "\n";
  for (const std::string& target : targets) {
    text += "  " + padded(target, width);
    for (Verdict column : columns)
      text += "  " +
              right(std::to_string(counts[target][column]), std::max<std::size_t>(9, std::string(verdict_text(column)).size()));
    text += "  " + right(std::to_string(iterations[target]), 12) + "\n";
  }
  text += details;
  for (const KnownFinding& finding : known_findings()) {
    const auto count =
        std::ranges::count_if(result.trials, [&](const Trial& trial) { return trial.known.contains(finding.name); });
    if (count) text += "  no finding   " + known_finding_text(finding) + " (in " + plural(count, "trial") + ")\n";
  }
  if (result.first_finding)
    text += "First finding: " + fixed(result.first_finding->seconds, 1) + " s after the start (" +
            finding_text(result.first_finding->what) + ", " + result.first_finding->scenario + " on " +
            result.first_finding->target + ")\n";
  if (result.interrupted) text += "Interrupted: " + plural(not_run, "trial") + " did not run\n";
  if (result.stopped_at_first) text += "Stopped at the first finding: " + plural(not_run, "trial") + " did not run\n";
  return text + journal_text(journal, result.journal_failure) + "Exit " + exit_reason(exit_code) + "\n";
}

std::string prediction_text(const Program& program, DeviceClass device_class, const Allowed& allowed,
                            const std::vector<ClaimRow>& claims, bool all) {
  std::set<std::string> texts;
  for (const Outcome& outcome : allowed.outcomes) {
    std::string text = describe(allowed.schema, program, outcome, all);
    if (text.empty()) text = describe(allowed.schema, program, outcome, true);
    texts.insert(text);
  }
  std::string text = "Scenario " + program.name + " (device class " + words::text(words::device_classes, device_class) + ")\n";
  text += "Allowed outcomes: " + std::to_string(allowed.outcomes.size());
  if (texts.size() != allowed.outcomes.size())
    text += ", " + std::to_string(texts.size()) + " that differ in what has a name (--all shows the rest)";
  text += "\n";
  for (const std::string& each : texts) text += "  " + each + "\n";
  text += "States " + std::to_string(allowed.states) + ", executions " + std::to_string(allowed.executions) + ", " +
          fixed(allowed.seconds, 2) + " s, " +
          (allowed.complete ? "complete" : "incomplete: what is not listed may be allowed too") + "\n";
  for (const ClaimRow& row : claims) {
    const char* state = row.check.state == ClaimState::holds     ? "holds     "
                        : row.check.state == ClaimState::refuted ? "refuted   "
                                                                 : "undecided ";
    text += "Claim " + std::string(state) + one_line(print(row.claim)) + "\n";
    if (row.check.counterexample)
      text += "  counter-example: " + describe(allowed.schema, program, *row.check.counterexample, true) + "\n";
  }
  for (const std::string& name : allowed.known_bugs) {
    const KnownBug* bug = find_known_bug(name);
    text += "Some execution runs into " + known_bug_text(name) + (bug ? std::string(" (") + bug->kernels + ")" : "") + "\n";
  }
  for (const AtOnce& pair : allowed.at_once)
    text += "At once, for devices with concurrent access to USM: " + pair.accesses + "\n";
  if (!allowed.undefined.empty()) text += "Undefined: nothing is said about this program: " + allowed.undefined + "\n";
  if (!allowed.unknown.empty()) text += "Nothing is predicted: " + allowed.unknown + "\n";
  for (const std::string& finding : allowed.findings) text += "Finding: " + finding + "\n";
  return text;
}

Diagnostic refutation(const Scenario& scenario, const Claim& claim, const Allowed& allowed, const ClaimCheck& check) {
  Diagnostic diagnostic = Source(scenario.text, scenario.file).at(claim.place, 1, "");
  diagnostic.length = std::max<int>(1, static_cast<int>(diagnostic.source.size()) - claim.place.column + 1);
  diagnostic.message = "the reference refutes this claim: ";
  switch (claim.kind) {
    case Claim::Kind::never: diagnostic.message += "an allowed outcome has it"; break;
    case Claim::Kind::always: diagnostic.message += "an allowed outcome has it not"; break;
    case Claim::Kind::sometimes:
      diagnostic.message += "none of the " + plural(allowed.outcomes.size(), "allowed outcome") + " has it";
      break;
  }
  if (check.counterexample)
    diagnostic.suggestion = "counter-example: " + describe(allowed.schema, scenario.program, *check.counterexample, true);
  return diagnostic;
}

Diagnostic endless_wait(const Scenario& scenario, const Allowed& allowed) {
  return endless_wait(scenario.program, Source(scenario.text, scenario.file), allowed.waiting, false);
}

}  // namespace faultline
