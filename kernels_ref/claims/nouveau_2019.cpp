// "hmm_range_fault related fixes and legacy API removal v2", July 2019. The thread holds the series' patches
// 1, 2, 4 and 5; nothing here depends on what 3 and 6 were.
#include <map>

#include "kernels_ref/claims/claim.h"
#include "kernels_ref/protocol/drivers/nouveau_2019.h"

namespace faultline::ref {

using namespace protocol;

namespace {

const std::vector<Finding> unbalanced = {Finding::unlock_not_held, Finding::lock_at_return, Finding::missing_lock,
                                         Finding::lock_recursion};
const std::vector<Finding> deadlock = {Finding::waits_for_ever, Finding::order_cycle, Finding::lock_recursion};
constexpr int anything = any_error | time_runs_out;

Variants before_the_series() {
  return with({Variant::invalid_range_is_eagain, Variant::helper_unlocks_some, Variant::timeout_is_eagain});
}

// The explorations that a claim needs. Their states add up, and one that is incomplete leaves the claim undecided.
struct Look {
  ClaimAnswer& answer;
  bool complete = true;

  Report at(const Protocol& p, const Variants& v) {
    Report report = examine(p, v);
    answer.states += report.states;
    complete = complete && report.complete;
    return report;
  }
  bool any(const Protocol& p, const Variants& v, const std::vector<Finding>& findings) {
    const Report report = at(p, v);
    for (const Finding f : findings)
      if (report.has(f)) return true;
    return false;
  }
  void show(const std::string& title, const Protocol& p, const Found& found) {
    if (found.schedule) answer.witness += (title.empty() ? "" : title + "\n") + schedule_text(*found.schedule, thread_names(p));
  }
  void decide(bool holds) {
    answer.verdict = !complete ? ClaimVerdict::undecided : holds ? ClaimVerdict::holds : ClaimVerdict::refuted;
  }
};

// 1.1
ClaimAnswer one_code(const Variants& extra) {
  ClaimAnswer answer;
  Look look{answer};
  std::map<std::string, std::string> locks;  // by code
  bool one = true;
  for (const Call call : {Call::snapshot, Call::fault, Call::nonblocking_fault}) {
    const Protocol p = documented_user(call);
    for (const std::string& outcome : look.at(p, extra).outcomes) {
      const std::size_t colon = outcome.find(": ");
      const std::string code = outcome.substr(0, colon), lock = outcome.substr(colon + 2);
      const auto [seen, fresh] = locks.emplace(code, lock);
      const bool differs = !fresh && seen->second != lock;
      const bool held_eagain = code == "-EAGAIN" && lock == "mmap_sem held";
      if (differs || held_eagain) {
        one = false;
        look.show(outcome, p, witness(p, extra, outcome));
      }
    }
  }
  for (const auto& [code, lock] : locks) answer.detail += (answer.detail.empty() ? "" : "; ") + code + ": " + lock;
  look.decide(one && locks.contains("-EBUSY") && locks.contains("-EAGAIN"));
  return answer;
}

// 1.2
ClaimAnswer random_selection(const Variants& extra) {
  ClaimAnswer answer;
  Look look{answer};
  const Protocol p = nouveau_return_paths(anything);
  const Variants v = before_the_series() | extra;
  int right = 0, wrong = 0;
  for (const std::string& outcome : look.at(p, v).outcomes) {
    if (outcome.ends_with("unlocked once")) {
      ++right;
      continue;
    }
    ++wrong;
    answer.detail += (answer.detail.empty() ? "" : "; ") + outcome;
    look.show(outcome, p, witness(p, v, outcome));
  }
  if (wrong == 0) answer.detail = "every path unlocks once";
  look.decide(right > 0 && wrong > 0);
  return answer;
}

// 1.4
ClaimAnswer alternative(const Variants& extra) {
  ClaimAnswer answer;
  Look look{answer};
  const Protocol p = nouveau_return_paths(anything);
  const Variants blocking = with({Variant::only_caller_unlocks}) | extra;
  const Variants dropping = blocking | with({Variant::nonblocking_faults});
  const bool balanced = !look.any(p, blocking, unbalanced);
  const bool dropped_too = !look.any(p, dropping, unbalanced);
  look.decide(balanced);
  if (answer.verdict == ClaimVerdict::holds && !dropped_too) answer.verdict = ClaimVerdict::only_if;
  answer.detail = balanced && dropped_too ? "balanced on every path"
                  : balanced ? "balanced as long as nothing drops mmap_sem: faults block, and an invalid range is -EBUSY"
                             : "unlocks twice where hmm_range_fault has dropped mmap_sem";
  if (!dropped_too) look.show("", p, witness(p, balanced ? dropping : blocking, Finding::unlock_not_held));
  return answer;
}

// 1.5
ClaimAnswer success_leaks(const Variants& extra) {
  ClaimAnswer answer;
  Look look{answer};
  const Protocol p = nouveau_left_behind(quiet);
  const bool leak = look.at(p, extra).has(Finding::leak);
  look.decide(leak);
  answer.detail = leak ? "the range stays registered" : "nouveau_range_done unregisters the range, valid or not";
  look.show("", p, leak ? witness(p, extra, Finding::leak) : witness(p, extra, "success: mmap_sem unlocked once"));
  return answer;
}

// 1.6
ClaimAnswer exit_deadlock(const Variants& extra) {
  ClaimAnswer answer;
  Look look{answer};
  const Protocol success = nouveau_exit(quiet), error = nouveau_exit(any_error);
  const Variants later = with({Variant::done_after_unlock}) | extra;
  const Variants on_error = with({Variant::only_caller_unlocks}) | later;
  const bool in_success = look.any(success, extra, deadlock);
  const bool in_error = look.any(error, on_error, deadlock);
  const bool still = look.any(error, later, deadlock);
  look.decide(in_success && in_error && !still);
  if (in_success)
    look.show("where nouveau_svm_fault succeeds, as the series leaves it:", success,
              witness(success, extra, Finding::waits_for_ever));
  if (in_error)
    look.show("where it fails, with the reviewer's alternative:", error, witness(error, on_error, Finding::waits_for_ever));
  answer.detail = in_success ? std::string("hmm_range_unregister drops the last mm_users, exit_mmap wants mmap_sem; ") +
                                   (still ? "and" : "not") + " when it comes after the unlock"
                             : "hmm_range_unregister never drops the last mm_users";
  return answer;
}

// 1.7
ClaimAnswer unchecked_results(const Variants& extra) {
  ClaimAnswer answer;
  Look look{answer};
  const std::vector<Finding> harm = {Finding::stale_entry, Finding::wrong_result};
  const Protocol today = nouveau_today(quiet), then = nouveau_collision();
  const Variants unchecked = with({Variant::no_read_retry}) | extra;
  const Variants as_flag = with({Variant::retry_in_helper}) | extra;
  const bool checked_harm = look.any(today, extra, harm);
  const bool pages_harm = look.at(today, unchecked).has(Finding::stale_entry);
  const bool error_harm = look.at(then, extra).has(Finding::wrong_result);
  const bool flag_harm = look.any(then, as_flag, harm);
  look.decide(!checked_harm && pages_harm && error_harm);
  answer.detail = std::string("pages used unchecked: ") + (pages_harm ? "a stale entry" : "no harm") +
                  "; -EBUSY used unchecked: " + (error_harm ? "a good fault is cancelled" : "no harm") +
                  "; both checked, as today: " + (checked_harm ? "a stale entry" : "no harm") +
                  "; both checked by the flag range->valid of 2019: " +
                  (flag_harm ? "not enough, it is set again when the invalidation ends" : "no harm");
  if (checked_harm) {
    look.show("", today, witness(today, extra, Finding::stale_entry));
    return answer;
  }
  look.show("pages used unchecked:", today, witness(today, unchecked, Finding::stale_entry));
  look.show("an error used unchecked:", then, witness(then, extra, Finding::wrong_result));
  if (flag_harm)
    look.show("the flag misses an invalidation that has come and gone:", then, witness(then, as_flag, Finding::stale_entry));
  return answer;
}

// 1.8
ClaimAnswer nonblocking(const Variants& extra) {
  ClaimAnswer answer;
  Look look{answer};
  const Protocol p = nouveau_return_paths(anything);
  const Variants asks = with({Variant::nonblocking_faults}) | extra;
  bool called = false;
  for (const std::string& outcome : look.at(p, extra).outcomes) called = called || outcome.find("EAGAIN") != std::string::npos;
  const bool after = look.any(p, asks, unbalanced);
  const bool before = look.any(p, asks | before_the_series(), unbalanced);
  look.decide(!called && after && before);
  answer.detail = std::string("as called: -EAGAIN is ") + (called ? "met" : "never met") +
                  "; with block = false: " + (before ? "unlocks twice before the series" : "balanced before the series") +
                  (after ? ", and after it" : ", balanced after it");
  if (after) look.show("with block = false, after the series:", p, witness(p, asks, Finding::unlock_not_held));
  return answer;
}

// 1.9
ClaimAnswer timeout_leaks(const Variants& extra) {
  ClaimAnswer answer;
  Look look{answer};
  const Protocol p = nouveau_left_behind(time_runs_out);
  const Report report = look.at(p, extra);
  look.decide(report.has(Finding::leak));
  if (!report.has(Finding::leak)) {
    answer.detail = "every range is unregistered";
    return answer;
  }
  answer.detail = "leaked, with a reference to mm_users, so that the mm never dies";
  look.show("leaked:", p, witness(p, extra, Finding::leak));
  if (report.has(Finding::list_corruption)) {
    answer.detail += "; the next fault adds it to hmm->ranges again";
    look.show("on the list twice:", p, witness(p, extra, Finding::list_corruption));
  }
  if (report.has(Finding::use_after_free)) {
    answer.detail += "; the next invalidation writes to the stack that it was on";
    look.show("used after the function has returned:", p, witness(p, extra, Finding::use_after_free));
  }
  return answer;
}

}  // namespace

std::vector<MailClaim> nouveau_2019_claims() {
  // clang-format off
  return {
      {"1.1",
       "One condition, one code: an invalid range is -EBUSY with the lock held; -EAGAIN is only \"the lock "
       "was dropped\".",
       ClaimVerdict::holds,
       "After patch 1/6 the only -EAGAIN left is VM_FAULT_RETRY of a non-blocking fault; before it, "
       "hmm_range_snapshot gave -EAGAIN with the lock and hmm_range_fault without.",
       one_code,
       {Variant::invalid_range_is_eagain}},
      {"1.2",
       "Before the series, nouveau unlocks for a random selection of errors: each return path that leaks the "
       "lock or unlocks twice.",
       ClaimVerdict::holds,
       "The caller always unlocks, so the helper's own unlock (a timeout, no pages) and the one inside "
       "hmm_range_fault (-EAGAIN) are one too many; the other errors are right, and nothing can leak.",
       random_selection,
       {Variant::locked_flag}},
      {"1.3",
       "With patch 4/6, every non-zero return has unlocked exactly once, and `goto again` is reached only "
       "with the lock held.",
       ClaimVerdict::holds,
       "Each error return has an up_read of its own and the caller's has moved to success; `goto again` "
       "follows success only. It needs patch 1/6 and faults that block.",
       never([] { return nouveau_return_paths(anything); }, {}, unbalanced),
       {Variant::helper_unlocks_some, Variant::invalid_range_is_eagain, Variant::nonblocking_faults}},
      {"1.4",
       "The reviewer's alternative, in which only the caller unlocks, is balanced on every path, the one "
       "where the lock was dropped included.",
       ClaimVerdict::only_if,
       "One lock and one unlock in one function are balanced unless somebody below unlocks: only while "
       "faults block and an invalid range keeps the lock.",
       alternative,
       {Variant::invalid_range_is_eagain, Variant::locked_flag}},
      {"1.5",
       "The success path leaks hmm_range_unregister.",
       ClaimVerdict::refuted,
       "nouveau_range_done, which the caller calls after success under svmm->mutex, unregisters whether or "
       "not the range was valid.",
       success_leaks,
       {Variant::success_without_unregister}},
      {"1.6",
       "Holding mmap_sem across hmm_range_unregister can deadlock with exit_mmap.",
       ClaimVerdict::holds,
       "A registered range holds mm_users, so its mmput can be the last; exit_mmap then runs in the worker, "
       "and takes the mmap_sem that the worker holds. Patch 4/6 avoids it for errors, not for success.",
       exit_deadlock,
       {Variant::fault_holds_mm}},
      {"1.7",
       "No result of hmm_range_fault, errors included, may be used before the device lock is taken and the "
       "sequence checked.",
       ClaimVerdict::holds,
       "Pages read before an invalidation are stale after it; -EBUSY only tells that one has collided, and a "
       "fault cancelled for it was good before and after.",
       unchecked_results,
       {Variant::callback_does_not_stamp},
       "stress/scenarios/races/cow-break-device-read.scn",
       "device-rechecks"},
      {"1.8",
       "Non-blocking faults: nobody called them, and they were broken.",
       ClaimVerdict::holds,
       "nouveau passes block = true, so VM_FAULT_RETRY does not happen; if it did, mmap_sem would be gone "
       "and each version of nouveau would unlock it again.",
       nonblocking,
       {Variant::locked_flag}},
      {"1.9",
       "As moved into nouveau, a timeout of hmm_range_wait_until_valid returns without unregistering the "
       "range: it is leaked.",
       ClaimVerdict::holds,
       "No caller unregisters after an error either. The range holds mm_users and lies on the worker's "
       "stack, so the mm never dies, the next fault registers a range that is on the list, and notifiers "
       "write to a dead stack.",
       timeout_leaks,
       {Variant::timeout_unregisters}},
      {"1.10",
       "The whole retry algorithm inside one helper: svmm->mutex and mmap_sem are both held on return of 0, "
       "neither on an error, and every path is balanced.",
       ClaimVerdict::holds,
       "Each turn drops svmm->mutex before it tries again, and only success leaves with it; mmap_sem is "
       "never dropped inside as long as faults block.",
       never([] { return nouveau_return_paths(anything); }, with({Variant::retry_in_helper}), unbalanced),
       {Variant::invalid_range_is_eagain, Variant::nonblocking_faults}},
  };
  // clang-format on
}

}  // namespace faultline::ref
