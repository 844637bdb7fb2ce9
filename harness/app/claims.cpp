// faultline claims
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "harness/app/app.h"
#include "harness/app/commands.h"
#include "harness/language/diagnostic.h"
#include "kernels_ref/claims/claim.h"
#include "kernels_ref/predict.h"
#include "kernels_ref/twins.h"

namespace faultline::app {
namespace {

namespace fs = std::filesystem;
using ref::ClaimAnswer;
using ref::ClaimVerdict;
using ref::MailClaim;
namespace protocol = ref::protocol;

constexpr const char* examples =
    "Examples:\n"
    "  faultline claims                 every claim, expected and found, and what makes it flip\n"
    "  faultline claims 1.6 3.3         two of them, with the schedules that prove the verdict\n"
    "  faultline claims 4               the claims of one mail thread\n"
    "  faultline claims --with no-read-retry 4.5\n"
    "                                   on a kernel with this variant\n"
    "  faultline claims --variants      the variants, and what each changes\n"
    "\n"
    "If a scenario or an experiment tests the same on a real kernel, the newest results in results/runs are shown.\n"
    "Exit codes: 0 every verdict is as expected and flips as it should, 1 one is not or does not, 3 undecided.";

struct Arguments {
  std::vector<std::string> ids;
  std::vector<std::string> with;
  bool variants = false;
};

constexpr const char* trace_indent = "            ";

std::string indented(const std::string& text, const std::string& by) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1);
    out += by + text.substr(at, end - at + 1);
    at = end + 1;
  }
  return out;
}

// What the newest run on each target saw of a scenario. Empty if there was no run.
class Observed {
 public:
  explicit Observed(const fs::path& runs) {
    std::error_code error;
    std::set<fs::path> folders;  // their names begin with the time, so they sort by time
    for (const fs::directory_entry& entry : fs::directory_iterator(runs, error))
      if (fs::exists(entry.path() / "journal.jsonl", error)) folders.insert(entry.path());
    for (const fs::path& folder : folders) read(folder);
  }

  std::string of(const std::string& scenario_name) const {
    const auto found = seen_.find(scenario_name);
    if (found == seen_.end()) return "";
    std::string text;
    for (const auto& [target, what] : found->second) text += (text.empty() ? "" : "; ") + what;
    return text;
  }

 private:
  void read(const fs::path& folder) {
    std::ifstream stream(folder / "journal.jsonl");
    for (std::string line; std::getline(stream, line);) {
      if (line.find("\"ev\":\"verdict\"") == std::string::npos) continue;
      const auto record = nlohmann::json::parse(line, nullptr, false);
      if (record.is_discarded() || record.value("ev", "") != "verdict") continue;
      const std::string target = record.value("target", "?"), verdict = record.value("verdict", "?");
      if (verdict == "skipped" || verdict == "inconclusive") continue;
      std::string kernel = record.value("kernel", "");
      kernel = kernel.substr(0, kernel.find(' '));
      const std::string saw = record.value("saw", "");  // only experiments have it
      seen_[record.value("scenario", "")][target] = verdict + " on " + target + ", Linux " + kernel + ", " +
                                                    std::to_string(record.value("iterations", 0)) + " iterations" +
                                                    (saw.empty() ? "" : ": " + saw);
    }
  }

  std::map<std::string, std::map<std::string, std::string>> seen_;
};

// Checks in the reference the claims that the scenario of a mail claim makes itself. `without`: a rule to drop, or null.
ClaimAnswer decide_scenario(const Program& program, const char* without) {
  Facets facets;
  facets.device_class = class_of_claims(program);
  if (without) facets.dropped.set(static_cast<std::size_t>(ref::named<ref::Rule>(without).value()));
  const Allowed allowed = predict(program, facets);
  const std::string size = std::to_string(allowed.outcomes.size()) + " allowed outcomes";
  if (!allowed.findings.empty()) return {ClaimVerdict::refuted, allowed.findings.front(), "", allowed.states};
  ClaimVerdict verdict = ClaimVerdict::holds;
  for (const Claim& claim : program.claims) {
    const ClaimState state = check_claim(claim, allowed).state;
    if (state == ClaimState::refuted) return {ClaimVerdict::refuted, size, "", allowed.states};
    if (state == ClaimState::undecided) verdict = ClaimVerdict::undecided;
  }
  return {verdict, size, "", allowed.states};
}

class Table {
 public:
  explicit Table(bool traces) : traces_(traces), root_(project_root()), observed_(fs::path(root_) / "results" / "runs") {}

  void row(const MailClaim& claim, const protocol::Variants& extra) {
    std::cout << claim.id << "  " << claim.says << "\n";
    const ClaimAnswer found = claim.decide(extra);
    line("expected", std::string(verdict_text(claim.expected)) + ": " + claim.why);
    line("found", answer_text(found));
    if (traces_) std::cout << indented(found.witness, trace_indent);
    bool good = found.verdict == claim.expected;
    for (const protocol::Variant variant : claim.flips)
      good = flips(found, claim.decide(extra | protocol::with({variant})), "with " + std::string(ref::name_of(variant))) && good;
    if (claim.scenario) good = scenario(claim) && good;
    if (claim.experiment) {
      line("experiment", claim.experiment);
      kernel(claim.experiment, "stress/direct_io/run.py");
    }
    ++all_;
    if (found.verdict == ClaimVerdict::undecided) ++undecided_;
    else if (!good) ++wrong_;
    std::cout << std::flush;
  }

  // The summary of `wanted` claims. Claims that were not reached because of an interrupt count as undecided.
  int summary(std::size_t wanted) const {
    const std::size_t undecided = undecided_ + wanted - all_;
    std::cout << "\n"
              << wanted << (wanted == 1 ? " claim: " : " claims: ") << all_ - undecided_ - wrong_ << " as expected, " << wrong_
              << " not, " << undecided << " undecided\n";
    return wrong_ ? exits::found : undecided ? exits::undecided : exits::agree;
  }

 private:
  static std::string answer_text(const ClaimAnswer& answer) {
    const bool table = answer.detail.find('\n') != std::string::npos;
    return std::string(verdict_text(answer.verdict)) + (answer.detail.empty() ? "" : (table ? ":\n" : ": ") + answer.detail);
  }

  // Prints a head and a text. Long lines are wrapped and indented; line breaks in the text (a table of costs) are kept.
  static void line(const std::string& head, const std::string& text) {
    constexpr std::size_t indent = 16, width = 110;
    const std::string begin = "     " + head + std::string(head.size() < 11 ? 11 - head.size() : 1, ' ');
    std::string out = begin;
    std::size_t column = begin.size();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end =
          std::min(text.find_first_of(" \n", at + 1), text.size());  // the end of a word with the blank before it
      if (text[at] == '\n' || (column + end - at > width && text[at] == ' ')) {
        out += "\n" + std::string(indent, ' ');
        column = indent;
        ++at;
      }
      out += text.substr(at, end - at);
      column += end - at;
      at = end;
    }
    std::cout << out << "\n";
  }

  void kernel(const std::string& name, const std::string& how) const {
    const std::string observed = observed_.of(name);
    line("kernel", observed.empty() ? "not run yet: " + how : observed);
  }

  bool scenario(const MailClaim& claim) const {
    const Program program = load_scenarios({root_ + "/" + claim.scenario}).front().program;
    const ClaimAnswer found = decide_scenario(program, nullptr);
    line("scenario", std::string(claim.scenario) + ": " + answer_text(found));
    kernel(program.name, "faultline run -t lab:dmirror " + std::string(claim.scenario));
    return found.verdict == ClaimVerdict::holds &&
           (!claim.flips_without ||
            flips(found, decide_scenario(program, claim.flips_without), "without " + std::string(claim.flips_without)));
  }

  bool flips(const ClaimAnswer& found, const ClaimAnswer& other, const std::string& how) const {
    const bool good = other.verdict != found.verdict && other.verdict != ClaimVerdict::undecided;
    line(good ? "flips" : "DOES NOT FLIP", how + ": " + answer_text(other));
    if (traces_) std::cout << indented(other.witness, trace_indent);
    return good;
  }

  const bool traces_;
  const std::string root_;
  const Observed observed_;
  std::size_t all_ = 0, wrong_ = 0, undecided_ = 0;
};

BadInput unknown(const std::string& what, const std::string& name, const std::vector<std::string>& known,
                 const std::string& lists_them) {
  const std::string suggestion = did_you_mean(name, known);
  return BadInput("faultline: unknown " + what + " '" + name + "'; " +
                  (suggestion.empty() ? "'" + lists_them + "' lists them" : suggestion) + "\n");
}

// Finds claims by "1.6", or by "1" for all claims of a thread.
std::vector<MailClaim> chosen(const std::vector<std::string>& ids) {
  std::vector<MailClaim> all = ref::mail_claims(), some;
  std::vector<std::string> known;
  for (const MailClaim& claim : all) known.emplace_back(claim.id);
  for (const std::string& id : ids) {
    const auto before = some.size();
    for (const MailClaim& claim : all)
      if (claim.id == id || std::string(claim.id).starts_with(id + ".")) some.push_back(claim);
    if (some.size() == before) throw unknown("claim", id, known, "faultline claims");
  }
  return ids.empty() ? all : some;
}

protocol::Variants variants(const std::vector<std::string>& names) {
  protocol::Variants result;
  const auto& names_of_all = ref::names_of<protocol::Variant>;
  const std::vector<std::string> known(names_of_all.begin(), names_of_all.end());
  for (const std::string& name : names) {
    const auto variant = ref::named<protocol::Variant>(name);
    if (!variant) throw unknown("variant", name, known, "faultline claims --variants");
    result.set(static_cast<std::size_t>(*variant));
  }
  return result;
}

int claims_command(const Arguments& arguments) {
  if (arguments.variants) {
    for (int v = 0; v < protocol::variant_count; ++v) {
      const auto variant = static_cast<protocol::Variant>(v);
      std::cout << ref::name_of(variant) << "\n    " << variant_text(variant) << "\n";
      for (const ref::Twins& pair : ref::twins())
        if (pair.variant == variant)
          std::cout << "    in scenarios: explain --without " << ref::name_of(pair.rule) << " stress/scenarios/" << pair.scenario
                    << "\n";
    }
    return exits::agree;
  }
  const std::vector<MailClaim> claims = chosen(arguments.ids);
  const protocol::Variants extra = variants(arguments.with);
  watch_signals();
  Table table(!arguments.ids.empty());
  for (const MailClaim& claim : claims) {
    if (stop_asked() != Stop::none) break;
    table.row(claim, extra);
  }
  return table.summary(claims.size());
}

}  // namespace

void add_claims(CLI::App& app, int& status) {
  CLI::App* command = app.add_subcommand("claims", "What kernel mail threads claim, decided by exploring every schedule");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("ID", arguments->ids, "Claims (1.6) or threads (1); without any, all");
  command->add_option("--with", arguments->with, "Apply this variant besides the claim's own (may be repeated)")
      ->allow_extra_args(false);
  command->add_flag("--variants", arguments->variants, "List the variants");
  command->footer(examples);
  command->callback([arguments, &status] { status = claims_command(*arguments); });
}

}  // namespace faultline::app
