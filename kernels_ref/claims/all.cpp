#include "kernels_ref/claims/all.h"

#include <algorithm>

namespace faultline::ref {

using namespace protocol;

namespace {

template <typename T>
void append(std::vector<T>& to, std::vector<T> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}


}  // namespace

std::vector<MailClaim> mail_claims() {
  std::vector<MailClaim> all;
  append(all, dying_mm_claims());
  append(all, nouveau_2019_claims());
  append(all, pin_claims());
  append(all, fork_and_fence_claims());
  append(all, find_claims());
  return all;
}

std::vector<Mutant> protocol_mutants() {
  std::vector<Mutant> all;
  append(all, notifier_mutants());
  append(all, nouveau_mutants());
  append(all, fence_mutants());
  std::stable_sort(all.begin(), all.end(), [](const Mutant& a, const Mutant& b) { return a.bug < b.bug; });
  return all;
}

MutantScore score(const Mutant& mutant) {
  const Protocol protocol = mutant.protocol();
  const Limits one_worker{.workers = 1};  // so that the count of executions is always the same
  const auto livelocked = [&](const Variants& variants) {
    return mutant.expected == Finding::livelock && livelock(protocol, variants).livelock.has_value();
  };
  const Report healthy = examine(protocol, {}, one_worker);
  const Variants broken = with({mutant.variant});
  const Report report = examine(protocol, broken, one_worker);
  MutantScore result{.executions = report.ends_until_found, .states = report.states,
                     .complete = healthy.complete && report.complete};
  result.healthy_clean = healthy.findings == 0 && !livelocked({});
  if (livelocked(broken)) {
    result.caught = true;
    result.by = finding_text(Finding::livelock);
  } else if (report.findings) {
    result.caught = true;
    Finding first = mutant.expected;
    for (int f = finding_count - 1; !report.has(mutant.expected) && f >= 0; --f)
      if (report.has(static_cast<Finding>(f))) first = static_cast<Finding>(f);
    result.by = finding_text(first);
    if (first == Finding::order_cycle) result.by += ": " + circle_text(report.circle);
  }
  return result;
}

}  // namespace faultline::ref
