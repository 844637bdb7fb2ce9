// Mail thread 002: pins of get_user_pages, and devices that have none.
#include "kernels_ref/protocol/fork/pinned_pages.h"

#include "kernels_ref/claims/evidence.h"
#include "kernels_ref/protocol/fork/fork_fences.h"

namespace faultline::ref {

using namespace protocol;

namespace {

ClaimAnswer no_upper_bound(const Variants& extra) {
  Evidence e;
  std::vector<int> waiting;
  for (const int cpus : {1, 2, 3, 4}) waiting.push_back(e.look(wait_for_pin(cpus), extra).most[cpus_waiting]);
  e.finds(wait_for_pin(1), extra, Finding::waits_for_ever);
  e.row("CPUs that want the page", {1, 2, 3, 4});
  e.row("CPUs that wait for the pin for ever", waiting);
  if (waiting != std::vector<int>{1, 2, 3, 4}) e.contradict("not all of them wait");
  // Behind a notifier the wait is that of fork_with_device: never longer than the work under way.
  e.row("length of the device's job", {1, 2, 4, 8});
  for (const DeviceKind c : {DeviceKind::recoverable, DeviceKind::preempt_and_restore, DeviceKind::userptr}) {
    std::vector<int> waited;
    for (const int length : {1, 2, 4, 8}) {
      const Report r = e.look(fork_with_device(c, length, false), extra);
      if (r.has(Finding::waits_for_ever)) e.contradict("a wait behind a notifier does not end");
      waited.push_back(r.most[fork_waited]);
    }
    e.row(std::string(name_of(c)) + ": device steps waited", waited);
    const int bound = c == DeviceKind::userptr ? 8 : 2;
    if (waited.back() > bound) e.contradict("not bounded");
  }
  return e.answer();
}

ClaimAnswer written_after_it_was_cleaned(const Variants& extra) {
  Evidence e;
  const Protocol p = writeback_against_device();
  const Variants pins = extra | with({Variant::device_pins});
  e.finds(p, pins | with({Variant::unpin_does_not_dirty}), Finding::lost_write);
  e.finds(p, pins, Finding::wrong_result);
  e.clean(p, extra);
  // Refcount against mapcount can tell a pinned page, but takes any passing reference for a pin.
  const Variants tells = pins | with({Variant::writeback_leaves_held_pages});
  e.clean(p, tells);
  const Report r = e.look(p, tells);
  for (const std::string& outcome : r.outcomes) e.says("refcount against mapcount: " + outcome);
  if (!r.outcomes.contains("left a pinned page")) e.contradict("a pinned page is not told");
  if (!r.outcomes.contains("left a page that nobody had pinned")) e.contradict("no false positive");
  return e.answer();
}

ClaimAnswer neither_moved_nor_let_go(const Variants& extra) {
  Evidence e;
  const Variants pins = extra | with({Variant::device_pins});
  // A page that is unpinned in time may move. While it is pinned it must not move, or a write is lost.
  e.clean(compaction_against_device(), pins);
  if (!e.look(compaction_against_device(), pins).outcomes.contains("stayed")) e.contradict("a pinned page never stays");
  if (e.look(compaction_against_device(), extra).outcomes != std::set<std::string>{"moved"})
    e.contradict("a page behind a notifier stays");
  if (!e.look(truncation_against_device(), pins).outcomes.contains("on an orphaned page")) e.contradict("no orphan");
  if (e.look(truncation_against_device(), extra).outcomes.contains("on an orphaned page"))
    e.contradict("a device behind a notifier is left on an orphaned page");
  return e.answer();
}

}  // namespace

std::vector<MailClaim> pin_claims() {
  using enum ClaimVerdict;
  // clang-format off
  return {
      {"2.1", "A pin has no upper bound: who waits for it may wait for ever. A device behind a "
       "notifier lets go in bounded time.",
       holds, "Nothing but its owner ends a pin, and who waits holds locks that the next CPU wants.",
       no_upper_bound, {Variant::pins_are_short}, nullptr, nullptr, "who-waits"},
      {"2.2", "A pinned page written after writeback cleaned it: the write is lost or the dirty state is wrong; refcount "
              "against mapcount can tell a pinned page, with false positives.",
       holds, "page_mkclean takes the CPU's right to write, not the device's; a passing reference looks like a pin.",
       written_after_it_was_cleaned, {Variant::writeback_leaves_held_pages}, nullptr, nullptr, "reclaim-in-flight"},
      {"2.3", "Pinned pages cannot be migrated, and truncation leaves the device on an orphaned page.", holds,
       "Migration gives up on a page with other references; truncation unmaps and forgets it, "
       "whoever holds it.",
       neither_moved_nor_let_go, {Variant::migration_ignores_pins},
       "stress/scenarios/pin/migration.scn", "migrate-respects-pins", "truncate-in-flight"},
  };
  // clang-format on
}

}  // namespace faultline::ref
