// The claims about mmu_interval_notifier_find(), v6, January 2020.
//
// The mail thread has only patch 4 of its series. put, update and release are modelled from patches 2 and 3:
// mn_itree_inv_end releases a deferred put, with no grace period and without the driver's lock; and update does
// not touch the subscription's sequence.
#include "kernels_ref/protocol/notifiers/find.h"
#include "kernels_ref/claims/claim.h"

namespace faultline::ref {

using namespace protocol;

namespace {

// "Some execution has the finding": the opposite of never.
Decide may(std::function<Protocol()> protocol, Variants fixed, Finding finding) {
  return [decide = never(protocol, fixed, {finding})](const Variants& extra) {
    ClaimAnswer answer = decide(extra);
    if (answer.verdict == ClaimVerdict::refuted) answer.verdict = ClaimVerdict::holds;
    else if (answer.verdict == ClaimVerdict::holds) answer.verdict = ClaimVerdict::refuted;
    return answer;
  };
}

// The most entries that a find looks at under subscriptions->lock.
std::string looks(const Variants& variants) { return std::to_string(examine(find_against_changes(), variants).most[looked_at]); }

ClaimAnswer closed_by_the_deferred_list(const Variants& extra) {
  const Variants aware = with({Variant::find_knows_deferred}) | extra;
  const Variants locked = aware | with({Variant::driver_lock_around_interval_calls});
  const std::vector<Finding> all = {Finding::use_after_free, Finding::double_free, Finding::waits_for_ever, Finding::order_cycle,
                                    Finding::leak};
  ClaimAnswer order = never(find_against_changes, aware, {Finding::wrong_result})({});
  if (order.verdict != ClaimVerdict::holds) return order;
  ClaimAnswer alone = never(find_against_put, aware, all)({});
  if (alone.verdict != ClaimVerdict::refuted) return alone;
  ClaimAnswer both = never(find_against_put, locked, all)({});
  if (both.verdict != ClaimVerdict::holds) return both;
  alone.verdict = ClaimVerdict::only_if;
  alone.detail =
      "only if the driver's lock is held around every call and until the caller is done with what it "
      "found (without: " +
      alone.detail + "); a find looks at up to " + looks(aware) + " entries instead of " + looks(extra);
  return alone;
}

ClaimAnswer either_value_is_safe(const Variants& extra) {
  const Variants newer = with({Variant::find_knows_deferred}) | extra;
  const auto safe = [](const Variants& v) { return never(fault_against_update, v, {Finding::stale_entry})({}); };
  ClaimAnswer before = safe(extra), after = safe(newer);
  if (before.verdict == ClaimVerdict::undecided) return before;
  const auto line = [](const char* values, const ClaimAnswer& a, const Variants& v) {
    const bool old = examine(fault_against_update(), v).has(Finding::wrong_result);
    const std::string found = a.verdict == ClaimVerdict::holds ? "nothing stale is mapped" : a.detail;
    return std::string(values) + ": " + found + (old ? ", and start() after update() is not what update() was given" : "");
  };
  const std::string detail = line("old values", before, extra) + "; " + line("new values", after, newer);
  ClaimAnswer& worse = before.verdict != ClaimVerdict::holds ? before : after;
  worse.detail = detail;
  if (&worse == &before && after.verdict == ClaimVerdict::refuted)
    worse.witness = "old values:\n" + before.witness + "new values:\n" + after.witness;
  return worse;
}

}  // namespace

std::vector<MailClaim> find_claims() {
  using V = Variant;
  // clang-format off
  return {
      {"4.1",
       "A found subscription has no lifetime protection: with its removal deferred, it may be freed under the "
       "caller.",
       ClaimVerdict::holds,
       "find drops subscriptions->lock before it returns a bare pointer, and a put at any later moment ends in "
       "release.",
       may(find_against_put, {}, Finding::use_after_free), {V::find_keeps_tree_locked}},
      {"4.2",
       "A driver lock around every mmu_interval_* call does not help, since the release is asynchronous.",
       ClaimVerdict::holds,
       "A put while the tree is walked leaves the subscription in the tree, where find still meets it; "
       "mn_itree_inv_end releases it later without the driver's lock.",
       may(find_against_put, with({V::driver_lock_around_interval_calls}), Finding::use_after_free),
       {V::find_keeps_tree_locked, V::find_knows_deferred}},
      {"4.3",
       "find against the deferred list gives results that no serial order of the calls gives.",
       ClaimVerdict::holds,
       "It walks the tree only, which insert and put leave as it is until the last invalidation ends.",
       may(find_against_changes, with({V::driver_lock_around_interval_calls}), Finding::wrong_result),
       {V::find_knows_deferred}},
      {"4.4",
       "A find that takes the deferred list into account closes 4.1 to 4.3.",
       ClaimVerdict::only_if,
       "It does not give what is about to go, but nothing keeps a put from following at once: only one lock over "
       "every call and the use of the result does, and under that lock remove() would wait for callbacks that "
       "want it.",
       closed_by_the_deferred_list, {V::find_keeps_tree_locked, V::removes_under_driver_lock}},
      {"4.5",
       "Between read_begin and a successful read_retry no deferred operation is pending.",
       ClaimVerdict::refuted,
       "Both look at the subscription's own stamp, but any other range of the mm makes the sequence odd and so "
       "defers.",
       never(read_against_update, with({V::driver_lock_around_interval_calls}), {Finding::wrong_result}),
       {V::whole_mm_sequence}},
      {"4.6",
       "start and last of a subscription with a pending update can be used in the read flow, be they the old "
       "values or the new.",
       ClaimVerdict::refuted,
       "update leaves the stamp, so read_begin does not wait for it: the old page loses its cover when the update "
       "is applied, the new page has none before.",
       either_value_is_safe, {V::update_stamps}},
  };
  // clang-format on
}

}  // namespace faultline::ref
