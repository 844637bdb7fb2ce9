#include "harness/driver_calls.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace faultline {

using nlohmann::json;

void DriverCalls::add(const DriverCalls& slice) {
  for (const Function& function : slice.functions) {
    const auto same = std::ranges::find(functions, function.name, &Function::name);
    if (same == functions.end()) {
      functions.push_back(function);
      continue;
    }
    same->calls += function.calls;
    same->missed += function.missed;
  }
  not_counted = slice.not_counted;
  why_none = slice.why_none;
}

std::string calls_text(const DriverCalls& calls, bool with_names) {
  std::string text;
  for (const auto& [name, what, count, missed] : calls.functions) {
    text += (text.empty() ? "" : ", ") + what + " " + std::to_string(count);
    if (missed > 0) text += " and " + std::to_string(missed) + " more";
    if (with_names) text += " (" + name + ")";
  }
  return text;
}

std::vector<std::string> lacks(const DriverCalls& calls) {
  if (!calls.why_none.empty()) return {"faults and invalidations in its driver: " + calls.why_none};
  return calls.not_counted;
}

json calls_json(const DriverCalls& calls) {
  json functions = json::array();
  for (const auto& [name, what, count, missed] : calls.functions)
    functions.push_back({{"name", name}, {"what", what}, {"calls", count}, {"missed", missed}});
  return {{"functions", functions}, {"not_counted", calls.not_counted}, {"why_none", calls.why_none}};
}

}  // namespace faultline
