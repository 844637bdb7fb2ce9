// hmm_mirror_mm_down_read(), March 2019: is an unlocked check "is this mm dying?" of any use?
#include <algorithm>
#include <set>

#include "kernels_ref/claims/claim.h"
#include "kernels_ref/protocol/drivers/amdkfd_range.h"
#include "kernels_ref/protocol/drivers/dying_mm.h"
#include "kernels_ref/protocol/drivers/nouveau_2019.h"

namespace faultline::ref {

using namespace protocol;

namespace {

const Variants without_check = with({Variant::no_dying_check});

std::string joined(const std::set<std::string>& set) {
  std::string text;
  for (const std::string& s : set) text += (text.empty() ? "" : ", ") + s;
  return text;
}

// 0.1
ClaimAnswer same_outcomes(const Variants& extra) {
  const Protocol p = dying_mm(2);
  const Report check = examine(p, extra), none = examine(p, without_check);
  ClaimAnswer answer{.states = check.states + none.states};
  const bool same = check.outcomes == none.outcomes && check.findings == none.findings;
  answer.verdict = !check.complete || !none.complete ? ClaimVerdict::undecided
                   : same                            ? ClaimVerdict::holds
                                                     : ClaimVerdict::refuted;
  answer.detail =
      same ? "both: " + joined(check.outcomes) : "with: " + joined(check.outcomes) + "; without: " + joined(none.outcomes);
  for (int f = 0; f < finding_count; ++f) {
    const Finding finding = static_cast<Finding>(f);
    if (check.has(finding) == none.has(finding)) continue;
    answer.detail += std::string("; only ") + (check.has(finding) ? "with" : "without") + ": " + finding_text(finding);
    if (const Found found = witness(p, check.has(finding) ? extra : without_check, finding); found.schedule)
      answer.witness = schedule_text(*found.schedule, thread_names(p));
    break;
  }
  // Today's drivers, which lack the check, would gain nothing but what 0.2 counts.
  for (const Protocol& driver : {nouveau_today_exit(), amdkfd_xnack_on()}) {
    const Report with_check = examine(driver, extra | with({Variant::fault_looks_if_dying})), as_it_is = examine(driver, extra);
    answer.states += with_check.states + as_it_is.states;
    if (!with_check.complete || !as_it_is.complete) answer.verdict = ClaimVerdict::undecided;
    const bool equal = with_check.outcomes == as_it_is.outcomes && with_check.findings == as_it_is.findings;
    if (!equal && answer.verdict == ClaimVerdict::holds) answer.verdict = ClaimVerdict::refuted;
    answer.detail += std::string("; ") + driver.name + ": " + (equal ? "equal" : "NOT EQUAL");
  }
  return answer;
}

// 0.2
ClaimAnswer saves_work(const Variants& extra) {
  ClaimAnswer answer;
  bool complete = true, saves = true, grows = true;
  int lead = 0;
  std::string table = "faults queued | wasted steps: without, with | steps that the exit waits: without, with";
  for (const int queued : {1, 2, 4, 8, 16}) {
    const Report none = examine(dying_mm(queued), without_check | extra), check = examine(dying_mm(queued), extra);
    answer.states += none.states + check.states;
    complete = complete && none.complete && check.complete;
    const int saved = none.most[wasted_work] - check.most[wasted_work];
    // One fault may have done the check before the exit began. The others are spared their work.
    if (queued > 1) saves = saves && saved > 0;
    if (queued > 2) grows = grows && saved > lead;
    lead = saved;
    const auto number = [](int n) { return std::to_string(n); };
    table += "\n" + number(queued) + " | " + number(none.most[wasted_work]) + ", " + number(check.most[wasted_work]) + " | " +
             number(none.most[teardown_delay]) + ", " + number(check.most[teardown_delay]);
  }
  answer.verdict = !complete ? ClaimVerdict::undecided : saves && grows ? ClaimVerdict::holds : ClaimVerdict::refuted;
  answer.detail = table;
  return answer;
}

// 0.4
ClaimAnswer held_on_success(const Variants& extra) {
  ClaimAnswer answer;
  bool complete = true, holds = true;
  std::set<std::string> outcomes;
  for (const Mirror mirror : {Mirror::there, Mirror::missing, Mirror::without_hmm}) {
    const Protocol p = mm_down_read(mirror);
    const Report report = examine(p, extra);
    answer.states += report.states;
    complete = complete && report.complete;
    for (const std::string& outcome : report.outcomes) {
      outcomes.insert(outcome);
      if (outcome == "-EINVAL: mmap_sem held" || outcome == "0: not held")
        answer.witness = schedule_text(*witness(p, extra, outcome).schedule, thread_names(p));
    }
    std::set<std::string> right{"-EINVAL: not held"};
    if (mirror == Mirror::there) right.insert("0: mmap_sem held");
    holds = holds && report.outcomes == right;
  }
  answer.verdict = !complete ? ClaimVerdict::undecided : holds ? ClaimVerdict::holds : ClaimVerdict::refuted;
  answer.detail = joined(outcomes);
  return answer;
}

}  // namespace

std::vector<MailClaim> dying_mm_claims() {
  // clang-format off
  return {
      {"0.1",
       "The unlocked \"is this mm dying?\" check is only an optimisation: with and without it the sets of "
       "outcomes are equal.",
       ClaimVerdict::holds,
       "Whoever passes it wrongly still meets mmget_not_zero under mmap_sem, which is exact; whoever it "
       "stops would have failed there.",
       same_outcomes,
       {Variant::dying_check_replaces_mmget}},
      {"0.2",
       "It saves work: hundreds of faults may be queued against a dying process.",
       ClaimVerdict::holds,
       "A queued fault costs one look instead of a turn of mmap_sem, so what is saved grows with the queue. "
       "What the exit waits does not: it waits as a writer of mmap_sem, which keeps later faults out.",
       saves_work,
       {Variant::dead_is_set_late}},
      {"0.3",
       "A device context may outlive the mm: a fault after the mm is gone fails cleanly and touches nothing.",
       ClaimVerdict::holds,
       "hmm holds mm_count, so mmap_sem may be taken; mm_users is 0, so mmget_not_zero refuses.",
       never([] { return dying_mm_two_contexts(2); }, {},
             {Finding::use_after_free, Finding::double_free, Finding::stale_entry, Finding::leak,
              Finding::lock_at_return, Finding::waits_for_ever}),
       {Variant::no_mmgrab, Variant::dying_check_replaces_mmget},
       "stress/scenarios/teardown/opener-exits.scn",
       "mmget-guards"},
      {"0.4",
       "The helper returns with the lock held only on success; -EINVAL without a mirror or its hmm.",
       ClaimVerdict::holds,
       "Every -EINVAL comes before down_read, and nothing can fail behind it.",
       held_on_success,
       {Variant::down_read_before_check}},
  };
  // clang-format on
}

}  // namespace faultline::ref
