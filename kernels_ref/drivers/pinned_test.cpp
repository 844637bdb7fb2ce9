// Pins in the reference: each test shows one fact, and what goes wrong without its rule.
#include "kernels_ref/drivers/pinned.h"

#include <gtest/gtest.h>

#include <set>

#include "harness/language/parser.h"
#include "kernels_ref/predict.h"

namespace faultline {
namespace {

using ref::Rule;

constexpr const char* head =
    "scenario t\ndevice d: pinned\nprocess P\n"
    "  a: 2 pages anon rw = 5\n  s: 1 page shared rw = 5\n  b: 2 pages none\n";

// Every outcome, projected onto `keys`, as "text text".
std::set<std::string> seen(const std::string& body, const std::vector<std::string>& keys, const Facets& facets) {
  const Allowed allowed = predict(parse(head + body, "test"), facets);
  EXPECT_TRUE(allowed.complete);
  EXPECT_TRUE(allowed.findings.empty()) << allowed.findings.front();
  std::set<std::string> texts;
  for (const Outcome& outcome : allowed.outcomes) {
    std::string text;
    for (const std::string& key : keys)
      for (std::size_t i = 0; i < allowed.schema.size(); ++i)
        if (allowed.schema[i].key == key) text += (text.empty() ? "" : " ") + outcome[i];
    texts.insert(text);
  }
  return texts;
}

std::set<std::string> seen(const std::string& body, const std::vector<std::string>& keys) {
  return seen(body, keys, {.device_class = DeviceClass::pinned});
}

std::set<std::string> without(Rule rule, const std::string& body, const std::vector<std::string>& keys) {
  Facets facets{.device_class = DeviceClass::pinned};
  facets.dropped.set(static_cast<int>(rule));
  return seen(body, keys, facets);
}

using Texts = std::set<std::string>;

// copy_present_page. Before the kernel had it, the parent's next store left the device on the old page.
TEST(Pinned, ForkCopiesForTheChild) {
  const std::string body =
      " pin a via d\n fork C\n store a[0] 6\n g0 = load a[0] via d\nprocess C\n"
      "observe C:a[0] same(P:a[0], C:a[0])\n";
  const std::vector<std::string> keys{"P:g0", "C:a[0]", "same(P:a[0],C:a[0])"};
  EXPECT_EQ(seen(body, keys), Texts{"6 5 different"});
  EXPECT_EQ(without(Rule::fork_copies_pinned, body, keys), Texts{"5 5 different"});
  EXPECT_EQ(without(Rule::fork_copy_keeps_contents, body, keys), Texts{"6 zero different"});
}

// 57efa1fe5957. The pin may come first, in between, or last.
TEST(Pinned, PinWhileForkWriteProtects) {
  const std::string body =
      "thread P.g on d\n pin a[0]\n barrier x\n store a[0] 7\n"
      "thread P.f\n fork C\n store a[0] 6\n barrier x\n"
      "process C\nobserve P:a[0] C:a[0]\n";
  EXPECT_EQ(seen(body, {"P:a[0]", "C:a[0]"}), Texts{"7 5"});
  EXPECT_EQ(without(Rule::gup_fast_checks_fork, body, {"P:a[0]", "C:a[0]"}), (Texts{"7 5", "6 7"}));
}

TEST(Pinned, PinBreaksCow) {
  const std::string body = " fork C\nprocess C\n pin a via d\n store a[0] 6 via d\nobserve P:a[0] C:a[0]\n";
  EXPECT_EQ(seen(body, {"P:a[0]", "C:a[0]"}), Texts{"5 6"});
  EXPECT_EQ(without(Rule::pin_breaks_cow, body, {"P:a[0]", "C:a[0]"}), Texts{"6 6"});
}

TEST(Pinned, PinNeedsVmWrite) {
  const std::string body = " mprotect a r\n p0 = pin a via d\n p1 = pin b via d\n";
  EXPECT_EQ(seen(body, {"P:p0", "P:p1"}), Texts{"EFAULT EFAULT"});
  EXPECT_EQ(without(Rule::pin_checks_write, body, {"P:p0", "P:p1"}), Texts{"ok EFAULT"});
}

// If one page of a range is refused, no page of the range stays pinned.
TEST(Pinned, AllPagesOrNone) {
  EXPECT_EQ(seen(" munmap a[1]\n p0 = pin a via d\n u0 = unpin a[0] via d\n", {"P:p0", "P:u0"}), Texts{"EFAULT ENXIO"});
  EXPECT_EQ(seen(" pin a[1] via d\n p0 = pin a via d\n u0 = unpin a via d\n u1 = unpin a via d\n", {"P:p0", "P:u0", "P:u1"}),
            Texts{"EBUSY ENXIO ENXIO"});
}

TEST(Pinned, OrphanGoesOn) {
  const std::string after = " e0 = store a[0] 6 via d\n g0 = load a[0] via d\nobserve P:a[0]\n";
  for (const std::string end : {" munmap a\n mmap a anon rw\n", " madvise a dontneed\n", " mmap a shared rw\n"})
    EXPECT_EQ(seen(" pin a via d\n" + end + after, {"P:e0", "P:g0", "P:a[0]"}), Texts{"ok 6 zero"}) << end;
}

TEST(Pinned, UnpinLetsGo) {
  const std::string body =
      " pin a via d\n unpin a via d\n e0 = load a[0] via d\n fork C\nprocess C\n"
      "observe same(P:a[0], C:a[0])\n";
  const std::vector<std::string> keys{"P:e0", "same(P:a[0],C:a[0])"};
  EXPECT_EQ(seen(body, keys), Texts{"EFAULT same"});
  EXPECT_EQ(without(Rule::unpin_lets_go, body, keys), Texts{"EFAULT different"});
}

// io_ring_exit_work may run at any time. But once fork() has shared the page, no pin is left.
TEST(Pinned, CloseLetsGoSomeTimeLater) {
  const std::string body =
      " open d\n pin a[0] via d\n close d\n fork C\n fork D\nprocess C\nprocess D\n"
      "observe same(P:a[0], C:a[0]) same(P:a[0], D:a[0])\n";
  EXPECT_EQ(seen(body, {"same(P:a[0],C:a[0])", "same(P:a[0],D:a[0])"}),
            (Texts{"different different", "different same", "same same"}));
}

// A request in progress keeps the file open, and so keeps the pins. It may finish after close() has returned.
TEST(Pinned, CloseWhileARequestIsUnderWay) {
  EXPECT_EQ(seen("thread P.g on d\n pin a[0]\n barrier x\n store a[0] 7\nthread P.t\n barrier x\n close d\n"
                 " store a[0] 6\nobserve P:a[0]\n",
                 {"P.g:#3", "P:a[0]"}),
            (Texts{"EBADF 6", "ok 6", "ok 7"}));
}

TEST(Pinned, SharedMemoryIsOnePage) {
  EXPECT_EQ(seen(" pin s via d\n madvise s dontneed\n store s[0] 6 via d\n fork C\nprocess C\n"
                 "observe P:s[0] C:s[0]\n",
                 {"P:s[0]", "C:s[0]"}),
            Texts{"6 6"});
}

// Claim of the fork tree: P and C map P0, and C holds P0 for reading. When C writes, the held page is still P0.
TEST(Pinned, ReadReferenceKeepsTheSharedPage) {
  const std::string child =
      " fork C\nprocess C\n pin read a via d\n store a[0] 6\n g0 = load a[0] via d\nobserve P:a[0] C:a[0]\n";
  EXPECT_EQ(seen(child, {"C:g0", "P:a[0]", "C:a[0]"}), Texts{"5 5 6"});
  // CVE-2020-29374: the child has unmapped the page that it holds, so only the parent maps the page.
  const std::string parent =
      " fork C\n barrier held\n store a[0] 6\n barrier stored\n"
      "process C\n pin read a[0] via d\n munmap a\n barrier held\n barrier stored\n g0 = load a[0] via d\n";
  EXPECT_EQ(seen(parent, {"C:g0"}), Texts{"5"});
  EXPECT_EQ(without(Rule::cow_counts_references, parent, {"C:g0"}), (Texts{"5", "6"}));
}

// While the page is exclusive, the device sees a store. A reference is no pin, so fork() shares the page.
TEST(Pinned, ReadReferenceIsNoPin) {
  EXPECT_EQ(seen(" pin read a via d\n store a[0] 6\n g0 = load a[0] via d\n fork C\n store a[0] 7\n"
                 " g1 = load a[0] via d\n e0 = store a[0] 8 via d\nprocess C\nobserve P:a[0] C:a[0]\n",
                 {"P:g0", "P:g1", "P:e0", "P:a[0]", "C:a[0]"}),
            Texts{"6 6 EFAULT 7 6"});
  EXPECT_EQ(seen(" mmap b anon rw\n pin read b via d\n store b[0] 7\n g0 = load b[0] via d\n", {"P:g0"}), Texts{"zero"});
}

// A device that shares the CPU's tables has no pins.
TEST(Pinned, OtherClassesRefuse) {
  EXPECT_EQ(seen(" p0 = pin a via d\n u0 = unpin a via d\n", {"P:p0", "P:u0"}, {.device_class = DeviceClass::shares_cpu_tables}),
            Texts{"EOPNOTSUPP EOPNOTSUPP"});
}

// migrate_vma_collect_pmd, migrate_vma_check_page: a page that is pinned, or only held for reading, does not move.
TEST(Pinned, HeldPagesDoNotMigrate) {
  Facets facets{.device_class = DeviceClass::recoverable};
  const std::vector<std::string> keys{"P:m0", "P:s0"};
  for (const std::string pin : {"pin", "pin read"}) {
    const std::string body = " " + pin + " a[0] via d\n m0 = migrate a to d\n s0 = snapshot a via d\n";
    facets.dropped.reset();
    EXPECT_EQ(seen(body, keys, facets), Texts{"ENOENT wD"}) << pin;
    facets.dropped.set(static_cast<int>(Rule::migrate_respects_pins));
    EXPECT_EQ(seen(body, keys, facets), Texts{"ok DD"}) << pin;
  }
}

// io_ring_exit_work may not have run yet. A reference of vmsplice() goes with the pipe.
TEST(Pinned, MigrationAfterClose) {
  const Facets facets{.device_class = DeviceClass::recoverable};
  const auto body = [](const std::string& pin) {
    return " open d\n " + pin + " a[0] via d\n close d\n open d\n m0 = migrate a to d\n";
  };
  EXPECT_EQ(seen(body("pin"), {"P:m0"}, facets), (Texts{"ENOENT", "ok"}));
  EXPECT_EQ(seen(body("pin read"), {"P:m0"}, facets), Texts{"ok"});
}

// A pin brings a page back from the device. So does a reference for reading.
TEST(Pinned, PinOfAPageOnTheDevice) {
  for (const std::string pin : {"pin", "pin read"})
    EXPECT_EQ(seen(" migrate a to d via d\n " + pin + " a[0] via d\n s0 = snapshot a via d\n", {"P:s0"},
                   {.device_class = DeviceClass::recoverable}),
              Texts{"wD"})
        << pin;
}

}  // namespace
}  // namespace faultline
