#include "stress/repro/condition.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <stdexcept>

namespace faultline::repro {
namespace {

bool is_number(const std::string& text) { return !text.empty() && text.find_first_not_of("0123456789") == text.npos; }

// "5@b[1]": a value that was stored through another cell.
std::string value_expression(const std::string& text, const Program& program, const Names& names) {
  const std::size_t at = text.find('@'), bracket = text.find('[');
  if (at == text.npos) return text;
  const std::string region = text.substr(at + 1, bracket - at - 1);
  for (int r = 0; r < static_cast<int>(program.regions.size()); ++r)
    if (program.regions[r].name == region)
      return "VIA(" + names.page(Cell{r, std::stoi(text.substr(bracket + 1))}) + ", " + text.substr(0, at) + ")";
  throw std::invalid_argument("no region " + region);
}

// The C constant for a text of outcome.h that is no letters of a snapshot. Empty if it has none.
std::string constant(const std::string& text, const Program& program, const Names& names) {
  static const std::map<std::string, std::string> words = {
      {text_ok, "0"},
      {text_zero, "ZERO"},
      {text_alien, "ALIEN"},
      {text_exited, "EXITED"},
      {text_killed, "KILLED"},
      {text_hit, "HIT"},
      {text_fault, "FAULT"},
      {text_same, "SAME"},
      {text_different, "DIFFERENT"},
      {text_none, "NONE"},
      {text_system, "SYSTEM"},
      {text_device, "DEVICE"},
      {text_unknown, "NOT_REACHED"},
      {text_not_reached, "NOT_REACHED"},
  };
  if (const auto found = words.find(text); found != words.end()) return found->second;
  if (text.starts_with("SIG")) return "SIGNAL + " + text;
  if (text.starts_with("E")) return "-" + (is_number(text.substr(1)) ? text.substr(1) : text);
  return value_expression(text, program, names);
}

}  // namespace

const Observable* observable_of(const Condition& comparison, std::span<const Observable> schema) {
  const auto found = std::ranges::find(schema, comparison.key, &Observable::key);
  return found == schema.end() ? nullptr : &*found;
}

void each_comparison(const Condition& condition, const std::function<void(const Condition&)>& visit) {
  if (condition.kind == Condition::Kind::equal || condition.kind == Condition::Kind::not_equal) visit(condition);
  for (const Condition& part : condition.parts) each_comparison(part, visit);
}

std::string expression(const Condition& condition, std::span<const Observable> schema, const Program& program,
                       const Names& names) {
  const auto part = [&](const Condition& inner) {
    const std::string text = expression(inner, schema, program, names);
    return inner.kind == Condition::Kind::all || inner.kind == Condition::Kind::any ? "(" + text + ")" : text;
  };
  if (condition.kind == Condition::Kind::negation) {
    const std::string text = expression(condition.parts.at(0), schema, program, names);
    return "!(" + text + ")";
  }
  if (condition.kind == Condition::Kind::all || condition.kind == Condition::Kind::any) {
    std::string text;
    for (const Condition& inner : condition.parts)
      text += (text.empty() ? "" : condition.kind == Condition::Kind::all ? " && " : " || ") + part(inner);
    return text;
  }
  const Observable* const observable = observable_of(condition, schema);
  if (!observable) throw std::invalid_argument("condition about '" + condition.key + "', which the Program does not have");
  const bool equal = condition.kind == Condition::Kind::equal;
  const std::string member = "s->" + names.member(*observable);
  const bool snapshot =
      observable->kind == Observable::Kind::result &&
      std::holds_alternative<op::Snapshot>(program.threads[observable->thread].statements[observable->statement].operation);
  const std::string& text = condition.value;
  const bool error =
      text == text_not_reached || text == text_unknown || text == text_ok || (text.starts_with("E") && text.size() > 1);
  if (!snapshot || error) return member + (equal ? " == " : " != ") + constant(text, program, names);
  return (equal ? std::string("(") + member + " == 0 && " : "(" + member + " != 0 || ") + (equal ? "!" : "") + "strcmp(" +
         member + "_pages, \"" + text + "\"))";
}

}  // namespace faultline::repro
