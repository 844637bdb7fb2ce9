// Faults that user space resolves, in the reference: what waits, what ends the wait, and what goes wrong without each rule.
#include "kernels_ref/mm/userfaultfd.h"

#include <gtest/gtest.h>

#include <set>

#include "harness/language/parser.h"
#include "kernels_ref/predict.h"

namespace faultline {
namespace {

using ref::Rule;
using Texts = std::set<std::string>;

constexpr const char* head =
    "scenario t\ndevice d: recoverable\nprocess P\n  a: 2 pages anon rw\n  k: 2 pages anon rw = 1\n  n: 1 page none\nthread "
    "P.t\n";
// A thread that begins when P.t is at its barrier.
const std::string beside = "thread P.u\n barrier go\n";

Allowed allowed(const std::string& body, std::initializer_list<Rule> without) {
  Facets facets;
  for (const Rule rule : without) facets.dropped.set(static_cast<int>(rule));
  const Allowed all = predict(parse(head + body, "test"), facets);
  EXPECT_TRUE(all.complete);
  return all;
}

// "P:r0" of "P.t:r0".
std::string without_thread(std::string key) {
  if (const auto dot = key.find('.'); dot < key.find(':')) key.erase(dot, key.find(':') - dot);
  return key;
}

// Every outcome, projected onto `keys` without their threads, as "text text".
Texts seen(const std::string& body, const std::vector<std::string>& keys, std::initializer_list<Rule> without = {}) {
  const Allowed all = allowed(body, without);
  EXPECT_TRUE(all.findings.empty()) << all.findings.front();
  EXPECT_TRUE(all.waiting.empty());
  Texts texts;
  for (const Outcome& outcome : all.outcomes) {
    std::string text;
    for (const std::string& key : keys)
      for (std::size_t i = 0; i < all.schema.size(); ++i)
        if (without_thread(all.schema[i].key) == key) text += (text.empty() ? "" : " ") + outcome[i];
    texts.insert(text);
  }
  return texts;
}

// Whether some execution waits for ever because nobody resolves the fault.
bool waits(const std::string& body, std::initializer_list<Rule> without = {}) {
  const Allowed all = allowed(body, without);
  EXPECT_TRUE(all.findings.empty()) << all.findings.front();
  return !all.waiting.empty();
}

// With a rule dropped, a wait without an end is a finding: the kernel's fault, not the Program's.
bool hangs(const std::string& body, std::initializer_list<Rule> without) { return !allowed(body, without).findings.empty(); }

TEST(Userfaultfd, MissingPageWaitsForCopyOrZeroes) {
  const std::string load = beside + " r0 = load a[0]\n", ready = " uffd-register a missing\n barrier go\n";
  EXPECT_EQ(seen(ready + " c0 = uffd-copy a[0] 5\n" + load, {"P:c0", "P:r0"}), Texts{"ok 5"});
  EXPECT_EQ(seen(ready + " c0 = uffd-copy a[0] 5\n" + load, {"P:c0", "P:r0"}, {Rule::missing_fault_waits}),
            (Texts{"ok 5", "EEXIST zero"}));
  EXPECT_EQ(seen(ready + " c0 = uffd-zero a\n" + load, {"P:c0", "P:r0"}), Texts{"ok zero"});
  EXPECT_TRUE(hangs(ready + " uffd-copy a[0] 5\n" + load, {Rule::uffd_copy_wakes}));
}

TEST(Userfaultfd, NobodyResolves) {
  EXPECT_TRUE(waits(" uffd-register a missing\n load a[0]\n"));
  EXPECT_TRUE(waits(" uffd-register a missing\n store a[0] 1\n"));
  EXPECT_TRUE(waits(" uffd-register k wp\n uffd-protect k\n store k[0] 2\n"));
  EXPECT_TRUE(waits(" uffd-register a missing\n barrier go\n uffd-wake a\n" + beside + " load a[0]\n"));
  EXPECT_FALSE(waits(" uffd-register a missing\n uffd-zero a\n load a[0]\n"));
  EXPECT_FALSE(waits(" uffd-register k wp\n uffd-protect k\n load k[0]\n"));
  EXPECT_FALSE(waits(" uffd-register a wp\n uffd-protect a\n store a[0] 2\n"));  // no page, so nothing is protected
}

TEST(Userfaultfd, WaitThatUnregisteringDoesNotEnd) {
  const std::string ready = " uffd-protect k\n barrier go\n uffd-unregister k\n", store = beside + " store k[0] 2\n";
  EXPECT_TRUE(waits(" uffd-register k wp\n" + ready + store));
  EXPECT_FALSE(waits(" uffd-register k both\n" + ready + store));
  EXPECT_FALSE(waits(" uffd-register k wp\n" + ready + " uffd-wake k\n" + store));
  EXPECT_TRUE(hangs(" uffd-register k both\n" + ready + store, {Rule::uffd_unregister_wakes}));
}

// Since 6.7 a fault may begin under the VMA's own lock, between the wake and the change of the VMA.
TEST(Userfaultfd, UnregisteringMayLoseAFault) {
  const std::vector<std::string> lost{"lost-userfault-wake"}, none;
  EXPECT_EQ(allowed(" uffd-register a missing\n barrier go\n uffd-unregister a\n" + beside + " load a[0]\n", {}).known_bugs,
            lost);
  EXPECT_EQ(allowed(" uffd-register a missing\n uffd-unregister a\n barrier go\n" + beside + " load a[0]\n", {}).known_bugs,
            none);
  EXPECT_EQ(allowed(" uffd-register a missing\n barrier go\n uffd-unregister a\n" + beside + " madvise a populate-read\n", {})
                .known_bugs,
            none);
}

TEST(Userfaultfd, CopyFillsMissingPagesAlone) {
  const std::string body =
      " uffd-register a missing\n c0 = uffd-copy a[1] 5\n c1 = uffd-copy a[1] 6\n z0 = uffd-zero a\n z1 = uffd-zero a\n"
      " c2 = uffd-copy k[0] 6\nobserve P:a[0] P:a[1]\n";
  EXPECT_EQ(seen(body, {"P:c0", "P:c1", "P:z0", "P:z1", "P:c2", "P:a[0]", "P:a[1]"}),
            Texts{"ok EEXIST EAGAIN EEXIST ENOENT zero 5"});
  EXPECT_EQ(seen(body, {"P:c0", "P:c1", "P:a[1]"}, {Rule::uffd_copy_keeps_page}), Texts{"ok ok zero"});
}

// Since 6.9 a copy into a VMA that is not registered leaves an anon_vma behind, so that fork() copies the entries.
TEST(Userfaultfd, RefusedCopyMayPrepareAnonVma) {
  const std::string fork = " load a[0]\n fork C\nprocess C\nobserve same(P:a[0], C:a[0])\n";
  EXPECT_EQ(seen(" c0 = uffd-copy a[0] 1\n" + fork, {"P:c0", "same(P:a[0],C:a[0])"}), (Texts{"ENOENT -", "ENOENT same"}));
  EXPECT_EQ(seen(" c0 = uffd-wake a\n" + fork, {"P:c0", "same(P:a[0],C:a[0])"}), Texts{"ok -"});
}

TEST(Userfaultfd, RegisterAndUnregisterNeedAMapping) {
  EXPECT_EQ(seen(" r0 = uffd-register n missing\n r1 = uffd-unregister n\n r2 = uffd-unregister k\n w0 = uffd-wake n\n",
                 {"P:r0", "P:r1", "P:r2", "P:w0"}),
            Texts{"EINVAL EINVAL ok ok"});
}

// mwriteprotect_range: one VMA, or since 6.4 one after the other.
TEST(Userfaultfd, ProtectNeedsRegistration) {
  EXPECT_EQ(seen(" p0 = uffd-protect k\n uffd-register k missing\n p1 = uffd-protect k\n", {"P:p0", "P:p1"}),
            Texts{"ENOENT ENOENT"});
  EXPECT_EQ(seen(" uffd-register k wp\n munmap k[1]\n p0 = uffd-protect k\n p1 = uffd-protect k[0]\n", {"P:p0", "P:p1"}),
            (Texts{"ENOENT ok", "ok ok"}));
}

TEST(Userfaultfd, ProtectedPageKeepsItsValue) {
  const std::string body =
      " uffd-register k wp\n barrier go\n uffd-protect k\n r0 = load k[0]\n r1 = load k[0]\n uffd-unprotect k\n" + beside +
      " store k[0] 2\nobserve P:k[0]\n";
  const std::vector<std::string> keys{"P:r0", "P:r1", "P:k[0]"};
  EXPECT_EQ(seen(body, keys), (Texts{"1 1 2", "2 2 2"}));
  EXPECT_EQ(seen(body, keys, {Rule::uffd_protect_flushes}), (Texts{"1 1 2", "1 2 2", "2 2 2"}));
  EXPECT_EQ(seen(body, keys, {Rule::protected_fault_waits}), (Texts{"1 1 2", "1 2 2", "2 2 2"}));
}

TEST(Userfaultfd, ChildIsNotRegistered) {
  const std::string body = " uffd-register a missing\n fork C\nprocess C\n r0 = load a[0]\n";
  EXPECT_EQ(seen(body, {"C:r0"}), Texts{"zero"});
  EXPECT_TRUE(hangs(body, {Rule::fork_drops_userfaults}));
  EXPECT_EQ(seen(" uffd-register k wp\n uffd-protect k\n fork C\nprocess C\n r0 = store k[0] 2\n", {"C:r0"}), Texts{"ok"});
}

TEST(Userfaultfd, MovedPagesAreNotRegistered) {
  const std::string body = " uffd-register a[0] both\n mremap a[0] -> n\n r0 = load n[0]\n";
  EXPECT_EQ(seen(body, {"P:r0"}), Texts{"zero"});
  EXPECT_TRUE(hangs(body, {Rule::mremap_drops_userfaults}));
}

TEST(Userfaultfd, DeviceCannotWait) {
  EXPECT_EQ(seen(" uffd-register a missing\n r0 = load a[0] via d\n r1 = store a[1] 3 via d\n e0 = exclusive a via d\n",
                 {"P:r0", "P:r1", "P:e0"}),
            Texts{"EFAULT EFAULT EBUSY"});
  EXPECT_EQ(seen(" uffd-register k wp\n uffd-protect k\n r0 = load k[0] via d\n r1 = store k[0] 3 via d\n", {"P:r0", "P:r1"}),
            Texts{"1 EFAULT"});
}

TEST(Userfaultfd, MigrationLeavesMissingPages) {
  const std::string body = " uffd-register a missing\n m0 = migrate a[0] to d via d\n c0 = uffd-copy a[0] 5\n";
  EXPECT_EQ(seen(body, {"P:m0", "P:c0"}), Texts{"ENOENT ok"});
  EXPECT_EQ(seen(body, {"P:m0", "P:c0"}, {Rule::migrate_leaves_missing}), Texts{"ok EEXIST"});
}

TEST(Userfaultfd, MigrationKeepsProtection) {
  const std::string body =
      " uffd-register k wp\n uffd-protect k\n migrate k[0] to d via d\n barrier go\n r0 = load k[0]\n uffd-unprotect k\n" +
      beside + " store k[0] 2\n";
  EXPECT_EQ(seen(body, {"P:r0"}), Texts{"1"});
  EXPECT_EQ(seen(body, {"P:r0"}, {Rule::migrate_keeps_protection}), (Texts{"1", "2"}));
}

// io_pin_pages held mmap_lock until 6.9; vmsplice() and O_DIRECT never do.
TEST(Userfaultfd, PinsWaitOrFail) {
  const std::string ready = " uffd-register a missing\n barrier go\n c0 = uffd-copy a[0] 5\n";
  EXPECT_EQ(seen(ready + beside + " p0 = pin a[0] via d\n", {"P:c0", "P:p0"}), (Texts{"ok EFAULT", "ok ok"}));
  EXPECT_EQ(seen(ready + beside + " p0 = pin read a[0] via d\n", {"P:c0", "P:p0"}), Texts{"ok ok"});
  EXPECT_EQ(seen(ready + beside + " d0 = direct-write a[0]\n", {"P:c0", "P:d0"}), Texts{"ok 5"});
}

TEST(Userfaultfd, PopulateLooksTheVmaUpAgain) {
  const std::string ready = " uffd-register a missing\n barrier go\n", populate = beside + " m0 = madvise a[0] populate-write\n";
  EXPECT_EQ(seen(ready + " uffd-copy a[0] 5\n" + populate, {"P:m0"}), Texts{"ok"});
  EXPECT_EQ(seen(ready + " munmap a\n uffd-wake a\n" + populate, {"P:m0"}), Texts{"ENOMEM"});
  EXPECT_EQ(seen(ready + " mprotect a r\n uffd-wake a\n uffd-unregister a\n" + populate, {"P:m0"}), Texts{"EINVAL"});
}

TEST(Userfaultfd, DeathEndsTheWait) {
  EXPECT_EQ(seen(" fork C\n kill C\n w0 = wait C\nprocess C\n uffd-register a missing\n r0 = load a[0]\n", {"P:w0"}),
            Texts{"killed"});
  EXPECT_EQ(seen(" fork C\n w0 = wait C\nprocess C\n uffd-register a missing\n barrier go\n exit\nthread C.u\n barrier go\n"
                 " r0 = load a[0]\n",
                 {"P:w0", "C:r0"}),
            (Texts{"exited -", "exited unknown"}));
}

}  // namespace
}  // namespace faultline
