// The reference against what is known about the kernel: each test is for one fact.
#include "kernels_ref/predict.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "harness/language/random_program.h"
#include "harness/spans.h"
#include "kernels_ref/mm/rules.h"

namespace faultline {
namespace {

constexpr const char* head =
    "scenario t\n  \"test\"\ndevice d: recoverable\nprocess P\n  a: 2 pages anon rw = 5\n  b: 2 pages none\n";

Allowed of(const std::string& body, const Facets& facets = {}) { return predict(parse(head + body, "test"), facets); }

// Outcomes of the named observables only, each once, as "key=text key=text".
std::vector<std::string> seen(const std::string& body, const std::vector<std::string>& keys, const Facets& facets = {}) {
  const Allowed allowed = of(body, facets);
  EXPECT_TRUE(allowed.complete);
  EXPECT_TRUE(allowed.findings.empty()) << allowed.findings.front();
  std::vector<std::string> texts;
  for (const Outcome& o : allowed.outcomes) {
    std::string text;
    for (const std::string& key : keys) {
      const auto at =
          std::find_if(allowed.schema.begin(), allowed.schema.end(), [&](const Observable& s) { return s.key == key; });
      EXPECT_NE(at, allowed.schema.end()) << key;
      text += (text.empty() ? "" : " ") + o[at - allowed.schema.begin()];
    }
    texts.push_back(text);
  }
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return texts;
}

using Texts = std::vector<std::string>;

TEST(Predict, OneThreadHasOneOutcome) {
  EXPECT_EQ(seen("thread P.t\n r0 = load a[0]\n store a[0] 7\n r1 = load a[0]\n", {"P.t:r0", "P.t:r1"}), Texts{"5 7"});
}

TEST(Predict, ValuesKeepTheirHome) {
  EXPECT_EQ(seen("thread P.t\n mremap a -> b\n r0 = load b[1]\n r1 = load a[1]\n", {"P.t:r0", "P.t:r1"}),
            Texts{"5@a[1] SIGSEGV"});
}

TEST(Predict, DontneedGivesZero) {
  EXPECT_EQ(seen("thread P.t\n madvise a[0] dontneed\n r0 = load a[0]\n r1 = load a[1]\n", {"P.t:r0", "P.t:r1"}),
            Texts{"zero 5"});
}

// try_to_unmap_one discards a clean page; MADV_PAGEOUT has nothing to take without MADV_FREE.
TEST(Predict, FreedPagesMayGoUntilTheyAreStoredTo) {
  EXPECT_EQ(seen("madvise a free\n r0 = load a[0]\n r1 = load a[0]\n", {"P:r0", "P:r1"}), (Texts{"5 5", "5 zero", "zero zero"}));
  EXPECT_EQ(seen("madvise a free\n store a[0] 6\n r0 = load a[0]\n", {"P:r0"}), Texts{"6"});
  EXPECT_EQ(seen("madvise a pageout\n r0 = load a[0]\n", {"P:r0"}), Texts{"5"});
}

// MADV_FREE gives up each mapping of a page separately.
TEST(Predict, FreedPagesStayWithTheChild) {
  EXPECT_EQ(seen("fork C\n madvise a free\n r0 = load a[0]\nprocess C\nobserve C:a[0]\n", {"P:r0", "C:a[0]"}),
            (Texts{"5 5", "zero 5"}));
}

// madvise_walk_vmas skipped the hole, faultin_page_range stops at it.
TEST(Predict, PopulateAtAHole) {
  EXPECT_EQ(seen("mmap b[1] anon r\n r0 = madvise b populate-write\n", {"P:r0"}), (Texts{"EINVAL", "ENOMEM"}));
}

// A populated region without access has PROT_NONE entries.
TEST(Predict, NoAccessToAPopulatedRegion) {
  const Allowed allowed =
      predict(parse("scenario t\nprocess P\n a: 1 page anon - = 5\n r0 = load a[0]\n"
                    " mprotect a rw\n r1 = load a[0]\n",
                    "test"));
  EXPECT_EQ(allowed.outcomes, (std::vector<Outcome>{{"SIGSEGV", "ok", "5"}}));
}

// vma_to_resize refuses after the target was unmapped, check_prep_vma before that. remap_move moves piece by
// piece, and leaves the target as it is where the source has a hole.
TEST(Predict, MremapOfSeveralVmas) {
  EXPECT_EQ(seen("mmap b anon rw\n store b[1] 9\n munmap a[1]\n r0 = mremap a -> b\n"
                 "observe P:a[0] P:b[0] P:b[1]\n",
                 {"P:r0", "P:a[0]", "P:b[0]", "P:b[1]"}),
            (Texts{"EFAULT 5 SIGSEGV SIGSEGV", "EFAULT 5 zero 9", "ok SIGSEGV 5@a[0] 9"}));
}

// vma_needs_copy: the child has a zero page only if the VMA was merged with one that was written.
TEST(Predict, ForkCopiesZeroPagesOfWrittenVmas) {
  const std::string end = "fork C\nprocess C\nobserve same(P:b[0], C:b[0])\n";
  EXPECT_EQ(seen("mmap b anon rw\n load b[0]\n" + end, {"same(P:b[0],C:b[0])"}), Texts{"-"});
  EXPECT_EQ(seen("mmap b anon rw\n store b[1] 1\n load b[0]\n" + end, {"same(P:b[0],C:b[0])"}), Texts{"same"});
  EXPECT_EQ(seen("mmap b anon rw\n store b[1] 1\n mmap b[0] anon rw\n load b[0]\n" + end, {"same(P:b[0],C:b[0])"}),
            (Texts{"-", "same"}));
}

// If a page is mapped elsewhere, try_to_migrate_one notifies the migrating driver too. test_hmm then drops the
// entry of the next page as well, and does not find that entry when it reads back.
TEST(Predict, MigrationOfASharedPageDropsItsNeighboursEntry) {
  const std::string body = "migrate a[1] to d via d\n r0 = migrate a to d via d\n";
  EXPECT_EQ(seen(body, {"P:r0"}), Texts{"ok"});
  EXPECT_EQ(seen("fork C\n" + body + "process C\n", {"P:r0"}), (Texts{"ENOENT", "ok"}));
}

// change_pte_range leaves entries behind in TLBs until the one flush at the end of mprotect.
TEST(Predict, StoreThroughStaleEntryUntilTheFlush) {
  EXPECT_EQ(
      seen("thread P.t\n mprotect a r\n store b[0] 1\nthread P.u\n e0 = store a[0] 7\nobserve P:a[0]\n", {"P.u:e0", "P:a[0]"}),
      (Texts{"SIGSEGV 5", "ok 7"}));
}

// The store orders of fork that hold and those that do not.
TEST(Predict, ForkCutsMappingAfterMapping) {
  const std::string fork = "thread P.f\n fork C\nprocess C\n r0 = load a[0]\n r1 = load a[1]\nthread P.u\n";
  EXPECT_EQ(seen(fork + " store a[0] 1\n store a[1] 1\n", {"C:r0", "C:r1"}), (Texts{"1 1", "1 5", "5 5"}));
  EXPECT_EQ(seen(fork + " store a[0] 1 via d\n store a[1] 1 via d\n", {"C:r0", "C:r1"}), (Texts{"1 1", "1 5", "5 5"}));
}

TEST(Predict, MigratedPageHitsOnTheDevice) {
  EXPECT_EQ(seen("thread P.t\n m0 = migrate a to d via d\n g0 = load a[0] via d\n s0 = snapshot a via d\n",
                 {"P.t:m0", "P.t:g0", "P.t:g0.faults", "P.t:s0"}),
            Texts{"ok 5 hit DD"});
}

// A known bug of test_hmm: mprotect erases the entry of a page that is on the device. The next READ then
// treats the device's own page as one that the CPU can read.
TEST(Predict, NamesKnownBugsThatAProgramRunsInto) {
  const Allowed allowed = of("thread P.t\n migrate a to d via d\n mprotect a r\n load a[0] via d\n");
  EXPECT_EQ(allowed.known_bugs, std::vector<std::string>{"erased-private-read"});
}

// Programs that wait for ever, in every execution or only if the kill comes before the fork. The parser accepts them,
// because a process that dies may let the others go on.
TEST(Predict, TellsWaitsWithoutAnEndOfTheProgramsOwnDoing) {
  const Allowed crossed = of("thread P.t\n fork C\n wait C\n barrier x\nprocess C\n barrier x\n exit\n");
  EXPECT_EQ(crossed.waiting, (std::vector<Waiting>{{0, 1}, {1, 0}}));
  EXPECT_TRUE(crossed.findings.empty()) << "not of the reference";
  const Allowed raced = of("thread P.t\n fork C\n wait C\nthread P.u\n kill C\nprocess C\n");
  EXPECT_EQ(raced.waiting, (std::vector<Waiting>{{0, 1}}));
  EXPECT_TRUE(of("thread P.t\n fork C\n kill C\n wait C\nprocess C\n").waiting.empty());
}

// With a rule dropped, such a wait is the model's fault.
TEST(Predict, AWaitWithoutAnEndInABrokenModelIsAFinding) {
  Facets broken;
  broken.dropped.set(static_cast<int>(ref::Rule::kill_ends_process));
  const Allowed allowed = of("thread P.t\n fork C\n kill C\n wait C\nprocess C\n", broken);
  EXPECT_EQ(allowed.findings, std::vector<std::string>{"a thread waits for ever"});
  EXPECT_TRUE(allowed.waiting.empty());
}

// A device of one class ends the process for which the other process waits. A device of another class does not.
TEST(Predict, AFaultThatEndsAProcessEndsTheWaitForIt) {
  const auto waiting = [](DeviceClass device_class) {
    Facets facets;
    facets.device_class = device_class;
    return predict(parse("scenario t\ndevice d: fatal-faults\nprocess P\n a: 1 page anon rw = 1\nthread P.t\n fork C\n"
                         " wait C\nprocess C\n munmap a\n load a[0] via d\n",
                         "test"),
                   facets)
        .waiting;
  };
  EXPECT_TRUE(waiting(DeviceClass::fatal_faults).empty());
  EXPECT_EQ(waiting(DeviceClass::shares_cpu_tables), (std::vector<Waiting>{{0, 1}}));
}

TEST(Predict, KilledThreadsTellOrDoNot) {
  const auto texts = seen("thread P.t\n fork C\n kill C\n w0 = wait C\nprocess C\n store a[0] 1\n", {"C:#1", "P.t:w0"});
  EXPECT_EQ(texts, (Texts{"ok killed", "unknown killed"}));
}

TEST(Predict, BudgetEndsIncomplete) {
  const Program p = parse(std::string(head) + "thread P.t\n munmap a\nthread P.u\n load a[0]\n", "test");
  EXPECT_FALSE(predict(p, {}, {.states = 5}).complete);
  EXPECT_TRUE(predict(p).complete);
  EXPECT_FALSE(predict(p, {}, {.states = 1'000'000}, [](std::uint64_t) { return false; }).outcomes.empty());
}

TEST(Predict, DroppedRuleShows) {
  Facets broken;
  broken.dropped.set(static_cast<int>(ref::Rule::fork_notifies));
  const std::string body =
      "thread P.g on d\n store a[0] 1\n store a[0] 2\nthread P.f\n fork C\n barrier x\nprocess C\n barrier x\n"
      "observe C:a[0]\nthread P.h on d\n barrier x\n store a[0] 3\n";
  EXPECT_FALSE(of(body, broken).findings.empty());
  EXPECT_TRUE(of(body).findings.empty());
}

// If mremap moves a page without an anon_vma, the page gets the vm_pgoff of its new place. So it can become part of
// the VMA there, and fork() then copies its zero page too.
TEST(Predict, AMovedZeroPageJoinsTheVmaBesideIt) {
  const Allowed allowed =
      predict(parse("scenario t\nprocess P\n  a: 2 pages anon rw\n  b: 2 pages anon rw = 1\n"
                    "  load a[0]\n  mremap a[0] -> b[0]\n  fork C\nprocess C\n"
                    "observe same(P:b[0], C:b[0])\n",
                    "test"));
  const auto same = [](const Outcome& o) { return o.back() == "same"; };
  EXPECT_TRUE(std::any_of(allowed.outcomes.begin(), allowed.outcomes.end(), same));
}

// ---- spans: pages that nothing tells apart are predicted as one ----

// Observes every page, so that each is a span of its own. Returns the outcomes of what the program itself shows.
std::vector<Outcome> page_by_page(Program program, const Budget& budget) {
  const std::size_t own = schema(program).size();
  for (int r = 0; r < static_cast<int>(program.regions.size()); ++r)
    for (int page = 0; page < program.regions[r].pages; ++page)
      program.observes.push_back({.process = program.regions[r].owner, .cell = {r, page}});
  const Allowed allowed = predict(program, {}, budget);
  if (!allowed.complete) return {};
  std::set<Outcome> outcomes;
  for (const Outcome& o : allowed.outcomes) outcomes.insert(Outcome(o.begin(), o.begin() + own));
  return {outcomes.begin(), outcomes.end()};
}

TEST(Spans, RandomProgramsArePredictedAsPageByPage) {
  std::mt19937 random(7);
  const Budget budget{.states = 5'000, .workers = 1};
  int compared = 0;
  for (int i = 0; i < 400; ++i) {
    const Program program = test::random_program(random);
    int pages = 0;
    for (const Region& region : program.regions) pages += region.pages;
    if (Spans(program).count() == pages) continue;
    const Allowed allowed = predict(program, {}, budget);
    const std::vector<Outcome> outcomes = page_by_page(program, budget);
    if (!allowed.complete || outcomes.empty()) continue;
    ++compared;
    EXPECT_EQ(allowed.outcomes, outcomes) << print(program);
  }
  EXPECT_GT(compared, 20);
}

TEST(Spans, AMovedPageKeepsItsHome) {
  const Allowed allowed =
      predict(parse("scenario t\nprocess P\n  a: 9 pages anon rw = 5\n  b: 9 pages none\n"
                    "  mremap a[1..8] -> b\n  r0 = load b[6]\n",
                    "test"));
  EXPECT_EQ(allowed.outcomes, (std::vector<Outcome>{{"ok", "5@a[7]"}}));
}

TEST(Spans, StatesDoNotGrowWithTheRegion) {
  const auto states = [](const std::string& pages) {
    const Allowed allowed = predict(parse("scenario t\ndevice d: recoverable\nprocess P\n  a: " + pages +
                                              " pages anon rw\nthread P.cpu\n  store a[0] 1\n"
                                              "  fork C\n  mprotect a r\nthread P.gpu on d\n  store a[15] 2\n  load "
                                              "a[7]\nprocess C\n  munmap a[1..15]\n  load a[0]\n",
                                          "test"));
    EXPECT_TRUE(allowed.complete && allowed.findings.empty());
    return allowed.states;
  };
  EXPECT_EQ(states("17"), states("268435456"));
  EXPECT_LE(states("268435456"), 2 * states("16"));
}

}  // namespace
}  // namespace faultline
