// Mail thread 003: fork, COW and what a notifier may wait for.
#include "kernels_ref/claims/evidence.h"
#include "kernels_ref/protocol/fork/cow.h"
#include "kernels_ref/protocol/fork/fork_fences.h"
#include "kernels_ref/protocol/fork/fork_pins.h"

namespace faultline::ref {

using namespace protocol;

namespace {

constexpr int lengths[] = {1, 2, 4, 8};

ClaimAnswer notifier_keeps_fork_apart(const Variants& extra) {
  Evidence e;
  e.finds(fork_with_device(DeviceKind::recoverable, 2, true), extra | with({Variant::device_without_notifier}),
          Finding::wrong_page);
  for (const DeviceKind c : {DeviceKind::recoverable, DeviceKind::preempt_and_restore, DeviceKind::userptr})
    e.clean(fork_with_device(c, 2, true), extra);
  return e.answer();
}

ClaimAnswer how_long_each_class_holds_up_fork(const Variants& extra) {
  Evidence e;
  e.row("device steps fork waits, length", {lengths[0], lengths[1], lengths[2], lengths[3]});
  std::array<std::vector<int>, std::size(device_kinds)> waited;
  for (const DeviceKind c : device_kinds) {
    std::vector<int>& w = waited[static_cast<int>(c)];
    std::vector<int> copies;
    for (const int length : lengths) {
      const Report r = e.look(fork_with_device(c, length, false), extra);
      w.push_back(r.most[fork_waited]);
      copies.push_back(r.most[copies_in_fork]);
    }
    e.row(std::string(name_of(c)), w);
    if (c == DeviceKind::pinned) e.row("pinned: pages copied in fork", copies);
  }
  const auto& w = waited;
  // Dropping entries and preempting: bounded, whatever the job is. A fence: as long as the job. A pin: no wait.
  if (w[0].back() != w[0].front() || w[1].back() != w[1][1]) e.contradict("a class that stops early waits for its job");
  if (w[0].back() >= w[1].back()) e.contradict("preemption holds fork up no longer than dropping entries");
  for (std::size_t i = 0; i < std::size(lengths); ++i)
    if (w[2][i] != lengths[i]) e.contradict("userptr does not hold fork up for its whole job");
  if (w[3].back() != 0) e.contradict("fork waits for a pin");
  return e.answer();
}

ClaimAnswer a_fence_behind_a_fence(const Variants& extra) {
  Evidence e;
  // With the rule that a fence never waits for a fault there is no circle, but fork waits for the whole chain.
  std::vector<int> waited;
  for (const int length : lengths) {
    e.clean(fence_chain(length), extra);
    waited.push_back(e.look(fence_chain(length), extra).most[fork_waited]);
  }
  e.row("length of each of two jobs", {lengths[0], lengths[1], lengths[2], lengths[3]});
  e.row("device steps fork waits", waited);
  if (waited.back() < 2 * lengths[3]) e.contradict("fork waits for less than both jobs");
  // Without that rule there is a circle. It is found in the first execution, even if no execution can deadlock.
  const Variants faults = extra | with({Variant::job_faults_under_its_fence});
  e.finds(fence_chain(1), faults, Finding::waits_for_ever);
  const Report apart = examine(fence_chain_apart(1), faults, {.workers = 1});
  e.says("circle: " + circle_text(apart.circle) + ", in execution " + std::to_string(apart.ends_until_found) +
         (apart.has(Finding::waits_for_ever) ? "" : ", where none deadlocks"));
  if (apart.circle.empty() || apart.ends_until_found != 1 || apart.has(Finding::waits_for_ever))
    e.contradict("the annotations do not find it in one run that does not deadlock");
  return e.answer();
}

ClaimAnswer o_direct_breaks_only_by_writing(const Variants& extra) {
  Evidence e;
  const Variants plain = extra | with({Variant::pins_are_plain_references});
  e.finds(o_direct_reads_file(), plain, Finding::lost_write);
  e.clean(o_direct_writes_file(), plain);
  if (!e.look(o_direct_writes_file(), plain).outcomes.contains("sent the old page")) e.contradict("the old page is never sent");
  return e.answer();
}

ClaimAnswer the_pin_keeps_p0(const Variants& extra) {
  Evidence e;
  const struct {
    const char* kernel;
    Variants rules;
    bool on_p0;
  } rows[] = {
      {"before 17839856fd58", with({Variant::read_pin_takes_shared, Variant::reuse_by_mapcount}), true},
      {"with 17839856fd58", with({Variant::read_pin_breaks_cow, Variant::reuse_by_mapcount}), false},
      // 09854ba94c6a, a308c71bf1e6: pins no longer break COW, and a write copies a page that has another holder.
      {"5.9 to 5.18", with({Variant::read_pin_takes_shared}), true},
      {"exclusive pages", {}, false},
  };
  int differ = 0;
  for (const auto& r : rows) {
    bool on_p0 = false;
    for (const bool fast : {false, true}) on_p0 |= e.look(fork_tree(fast), extra | r.rules).outcomes.contains("on P0");
    e.says(std::string(r.kernel) + ": the pin is " + (on_p0 ? "on P0" : "on C's page") + " after C's write");
    differ += on_p0 != r.on_p0;
  }
  if (differ) e.contradict("not as the kernels differ");
  return e.answer(ClaimVerdict::only_if, ClaimVerdict::holds);
}

ClaimAnswer copies_at_fork(const Variants& extra) {
  Evidence e;
  e.clean(o_direct_reads_file(), extra | with({Variant::pins_are_plain_references, Variant::madv_dontfork}));
  e.clean(o_direct_reads_file(), extra);
  std::vector<int> copies;
  for (int pinned = 0; pinned <= max_pages; ++pinned)
    copies.push_back(e.look(pinned_at_fork(pinned), extra).most[copies_in_fork]);
  e.row("pages pinned", {0, 1, 2});
  e.row("pages copied in fork", copies);
  const Report r = e.look(pinned_at_fork(2), extra);
  for (const std::string& has : r.outcomes) e.says(has);
  if (copies != std::vector<int>{0, 1, 2}) e.contradict("not one copy for each pinned page");
  // fork copies each page when it reaches that page. So the child may have the later of two writes without the earlier.
  if (!r.outcomes.contains("child: old old") || !r.outcomes.contains("child: old new")) e.contradict("not a copy of that moment");
  return e.answer();
}

ClaimAnswer delayed_submissions(const Variants& extra) {
  Evidence e;
  constexpr int length = 2;
  std::vector<int> fork_with, queue_with, fork_without;
  for (const int jobs : {1, 2, 3}) {
    const Report r = e.look(fork_with_queue(jobs, length), extra);
    fork_with.push_back(r.most[fork_waited]);
    queue_with.push_back(r.most[queue_waited]);
    fork_without.push_back(
        e.look(fork_with_queue(jobs, length), extra | with({Variant::submission_ignores_notifier})).most[fork_waited]);
  }
  e.row("jobs of 2 steps, one in the queue", {1, 2, 3});
  e.row("delayed: device steps fork waits", fork_with);
  e.row("delayed: ... a submission waits", queue_with);
  e.row("not delayed: ... fork waits", fork_without);
  e.clean(fork_with_queue(2, length), extra);
  if (fork_with.back() != length) e.contradict("fork waits for more than the job that runs");
  if (queue_with.back() > length) e.contradict("a submission waits longer than fork");
  if (fork_without.back() <= fork_with.back()) e.contradict("delaying submissions does not help fork");
  return e.answer();
}

ClaimAnswer sequence_count_closes_gup_fast(const Variants& extra) {
  Evidence e;
  e.finds(gup_fast_against_fork(), extra | with({Variant::gup_fast_ignores_seq}), Finding::wrong_page);
  e.clean(gup_fast_against_fork(), extra);
  return e.answer();
}

}  // namespace

std::vector<MailClaim> fork_and_fence_claims() {
  using enum ClaimVerdict;
  // clang-format off
  return {
      {"3.1", "Without a notifier a device write after fork can land in a page of another process; "
       "with it, it cannot.", holds,
       "After the parent's COW the old page is the child's; the notifier runs before the first PTE "
       "is write-protected.",
       notifier_keeps_fork_apart, {Variant::no_device_flush, Variant::submission_ignores_notifier},
       "stress/scenarios/fork/device-write-after.scn", "fork-notifies"},
      {"3.2", "Three device classes (finish the job, preempt, drop the mapping) differ in how long "
       "they hold up fork.", holds,
       "Dropping waits for an access under way, preempting for that and the state to be saved, a "
       "fence for the job.",
       how_long_each_class_holds_up_fork, {Variant::device_without_notifier}},
      {"3.3", "A notifier of B that waits for a fence that waits for A: a cycle or a chain, found "
       "by annotations in one run.", holds,
       "fork() holds mmap_lock while it waits; a fault of A's job wants it; without faults the jobs' "
       "lengths add up.",
       a_fence_behind_a_fence, {Variant::job_faults_under_its_fence}},
      {"3.4", "O_DIRECT across fork breaks only when the device writes memory.", holds,
       "A reader of the old page sends an older value at worst; a writer's data is in the page that "
       "the parent left.",
       o_direct_breaks_only_by_writing, {Variant::madv_dontfork},
       "stress/scenarios/pin/o-direct-across-fork.scn", "fork-copies-pinned", "read-fork-parent-writes"},
      {"3.5", "A page in A, B and C; C pins it for reading and writes: the pin keeps P0, C gets a "
       "new page.", only_if,
       "The pin comes from a kernel whose read pins take a shared page as it is: before "
       "17839856fd58, and 5.9 to 5.18.",
       the_pin_keeps_p0, {Variant::gup_fast_takes_shared},
       "stress/scenarios/pin/fork-tree-read.scn", "cow-counts-references"},
      {"3.6", "MADV_DONTFORK avoids it; so does copying pinned pages at fork, for time in fork and "
       "a copy of that moment.", holds,
       "A page that stays the parent's alone is never replaced in it.",
       copies_at_fork, {Variant::fork_shares_pinned},
       "stress/scenarios/pin/fork-copies-now.scn", "fork-copies-pinned", "read-dontfork"},
      {"3.7", "Submissions delayed until the notifier is done use the new pages, and keep fork's "
       "wait bounded.", holds,
       "read_begin sleeps until the invalidation has ended, so no job joins those that the notifier "
       "waits for.",
       delayed_submissions, {Variant::submission_ignores_notifier},
       "stress/scenarios/pin/submit-during-fork.scn", "gup-fast-checks-fork"},
      {"3.8", "GUP-fast can pin a page while fork write-protects it; write_protect_seq closes it.", holds,
       "The PTE is still writable when it is read twice; only fork's count tells that it has looked "
       "for pins already.",
       sequence_count_closes_gup_fast, {Variant::gup_fast_ignores_seq},
       "stress/scenarios/pin/fork-race.scn", "gup-fast-checks-fork"},
  };
  // clang-format on
}

}  // namespace faultline::ref
