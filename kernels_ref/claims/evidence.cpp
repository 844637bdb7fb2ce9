#include "kernels_ref/claims/evidence.h"

namespace faultline::ref {

using namespace protocol;

Report Evidence::look(const Protocol& p, const Variants& v) {
  Report r = examine(p, v);
  complete_ = complete_ && r.complete;
  answer_.states += r.states;
  return r;
}

void Evidence::clean(const Protocol& p, const Variants& v) {
  const Report r = look(p, v);
  for (int i = 0; i < finding_count; ++i) {
    const auto f = static_cast<Finding>(i);
    if (!r.has(f)) continue;
    contradict(std::string(p.name) + ": " + finding_text(f));
    return show(p, v, f);
  }
}

void Evidence::finds(const Protocol& p, const Variants& v, Finding f) {
  const Report r = look(p, v);
  if (r.has(f)) show(p, v, f);
  else contradict(std::string(p.name) + ": not found: " + finding_text(f));
}

void Evidence::says(const std::string& text) { answer_.detail += (answer_.detail.empty() ? "" : "\n") + text; }

void Evidence::row(const std::string& name, const std::vector<int>& figures) {
  constexpr std::size_t name_width = 34, figure_width = 5;
  const auto pad = [](const std::string& s, std::size_t width) {
    return std::string(s.size() < width ? width - s.size() : 1, ' ');
  };
  std::string text = name + pad(name, name_width);
  for (const int f : figures) text += pad(std::to_string(f), figure_width) + std::to_string(f);
  says(text);
}

void Evidence::contradict(const std::string& text) {
  says(text);
  good_ = false;
}

void Evidence::show(const Protocol& p, const Variants& v, Finding f) {
  if (!answer_.witness.empty()) return;
  if (const Found found = witness(p, v, f); found.schedule) answer_.witness = schedule_text(*found.schedule, thread_names(p));
}

ClaimAnswer Evidence::answer(ClaimVerdict if_good, ClaimVerdict if_not) {
  if (answer_.detail.empty()) says(std::to_string(answer_.states) + " states");
  answer_.verdict = !complete_ ? ClaimVerdict::undecided : good_ ? if_good : if_not;
  return answer_;
}

}  // namespace faultline::ref
