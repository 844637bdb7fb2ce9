// Transfers with O_DIRECT in the reference: which page they use, and what goes wrong without each rule.
#include "kernels_ref/mm/direct_io.h"

#include <gtest/gtest.h>

#include <set>

#include "harness/language/parser.h"
#include "kernels_ref/predict.h"

namespace faultline {
namespace {

using ref::Rule;
using Texts = std::set<std::string>;

constexpr const char* head = "scenario t\nprocess P\n  a: 2 pages anon rw = 5\n  k: 1 page anon r = 4\n  b: 1 page anon rw\n";

Allowed allowed(const std::string& body, std::initializer_list<Rule> without) {
  Facets facets;
  for (const Rule rule : without) facets.dropped.set(static_cast<int>(rule));
  const Allowed all = predict(parse(head + body, "test"), facets);
  EXPECT_TRUE(all.complete);
  return all;
}

// Every outcome, projected onto `keys`, as "text text".
Texts seen(const std::string& body, const std::vector<std::string>& keys, std::initializer_list<Rule> without = {}) {
  const Allowed all = allowed(body, without);
  EXPECT_TRUE(all.findings.empty()) << all.findings.front();
  Texts texts;
  for (const Outcome& outcome : all.outcomes) {
    std::string text;
    for (const std::string& key : keys)
      for (std::size_t i = 0; i < all.schema.size(); ++i)
        if (all.schema[i].key == key) text += (text.empty() ? "" : " ") + outcome[i];
    texts.insert(text);
  }
  return texts;
}

TEST(DirectIo, ReadBreaksCow) {
  const std::string body = " fork C\n direct-read a[0] 6\nprocess C\nobserve P:a[0] C:a[0]\n";
  EXPECT_EQ(seen(body, {"P:a[0]", "C:a[0]"}), Texts{"6 5"});
  EXPECT_EQ(seen(body, {"P:a[0]", "C:a[0]"}, {Rule::pin_breaks_cow}), Texts{"6 6"});
}

TEST(DirectIo, ReadNeedsVmWrite) {
  const std::string body = " d0 = direct-read k[0] 6\nobserve P:k[0]\n";
  EXPECT_EQ(seen(body, {"P:d0", "P:k[0]"}), Texts{"EFAULT 4"});
  EXPECT_EQ(seen(body, {"P:d0", "P:k[0]"}, {Rule::pin_checks_write}), Texts{"ok 6"});
}

// gup_must_unshare, on kernels whose O_DIRECT pins. The unshared page stays read-only, so a store takes one more fault.
TEST(DirectIo, WriteUnsharesOrNot) {
  const std::string body = " fork C\n g0 = direct-write a[0]\nprocess C\nobserve P:a[0] C:a[0] same(P:a[0], C:a[0])\n";
  const std::vector<std::string> keys{"P:g0", "P:a[0]", "C:a[0]", "same(P:a[0],C:a[0])"};
  EXPECT_EQ(seen(body, keys), (Texts{"5 5 5 different", "5 5 5 same"}));
  EXPECT_EQ(seen(body, keys, {Rule::read_pin_unshares}), Texts{"5 5 5 same"});
  EXPECT_EQ(seen(" fork C\n direct-write a[0]\n store a[0] 6\nprocess C\nobserve P:a[0] C:a[0]\n", {"P:a[0]", "C:a[0]"}),
            Texts{"6 5"});
}

// A kernel that pins for one transfer pins for all.
TEST(DirectIo, OneWayOfTakingPages) {
  EXPECT_EQ(seen(" fork C\n direct-write a[0]\n direct-write a[1]\nprocess C\n"
                 "observe same(P:a[0], C:a[0]) same(P:a[1], C:a[1])\n",
                 {"same(P:a[0],C:a[0])", "same(P:a[1],C:a[1])"}),
            (Texts{"different different", "same same"}));
}

TEST(DirectIo, WriteOfNothing) {
  EXPECT_EQ(
      seen(" g0 = direct-write b[0]\n munmap b\n g1 = direct-write b[0]\n d0 = direct-read b[0] 6\n", {"P:g0", "P:g1", "P:d0"}),
      Texts{"zero EFAULT EFAULT"});
}

// The thread is woken before the bio lets go of its page: fork() may still see the pin.
TEST(DirectIo, PinsLingerBehindTheEnd) {
  EXPECT_EQ(seen(" direct-read a[0] 6\n fork C\nprocess C\nobserve P:a[0] C:a[0] same(P:a[0], C:a[0])\n",
                 {"P:a[0]", "C:a[0]", "same(P:a[0],C:a[0])"}),
            (Texts{"6 6 different", "6 6 same"}));
}

// Claim 3.4: without a pin the data may arrive in a page that by then only the child has.
TEST(DirectIo, ReadAcrossFork) {
  EXPECT_EQ(seen("thread P.io\n direct-read a[0] 7\nthread P.t\n fork C\n madvise a[0] populate-write\n"
                 "process C\nobserve P:a[0] C:a[0]\n",
                 {"P:a[0]", "C:a[0]"}),
            (Texts{"5 7", "7 5", "7 7"}));
}

TEST(DirectIo, HoldsThePage) {
  const std::string body = "thread P.io\n d0 = direct-read a[0] 7\nthread P.t\n munmap a[0]\n";
  EXPECT_EQ(seen(body, {"P.io:d0"}), (Texts{"EFAULT", "ok"}));
  EXPECT_FALSE(allowed(body, {Rule::direct_io_holds_page}).findings.empty());
}

TEST(DirectIo, ReadEndsMadvFree) {
  const std::string body = " madvise a[0] free\n direct-read a[0] 7\nobserve P:a[0]\n";
  EXPECT_EQ(seen(body, {"P:a[0]"}), Texts{"7"});
  EXPECT_EQ(seen(body, {"P:a[0]"}, {Rule::direct_read_dirties}), (Texts{"7", "zero"}));
  EXPECT_EQ(seen(" madvise a[0] free\n direct-write a[0]\nobserve P:a[0]\n", {"P:a[0]"}), (Texts{"5", "zero"}));
}

}  // namespace
}  // namespace faultline
