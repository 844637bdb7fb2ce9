// The statements of userfaultfd have the results that every Linux gives, and nothing of an iteration stays for the next one.
#include "harness/executor/userfault.h"

#include <errno.h>

#include <gtest/gtest.h>

#include "harness/executor/test_support.h"
#include "harness/language/parser.h"

namespace faultline {
namespace {

constexpr std::uint64_t some = 50;

class UserfaultTest : public testing::Test {
  void SetUp() override {
    if (!has_userfaultfd()) GTEST_SKIP() << "no userfaultfd for faults of the kernel";
  }
};

TEST_F(UserfaultTest, ThreadsResolveEachOthersFaults) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages anon rw
  k: 1 page anon rw = 4
  n: 1 page none
thread P.t
  m0 = uffd-register a both
  m1 = uffd-register n missing
  m2 = uffd-register k wp
  p0 = uffd-protect k
  barrier go
  c0 = uffd-copy a[0] 5
  c1 = uffd-copy a[0] 6
  c2 = uffd-copy k[0] 6
  c3 = uffd-copy n[0] 6
  r0 = load k[0]
  p1 = uffd-unprotect k
  p2 = uffd-protect n
  z0 = uffd-zero a
  z1 = uffd-zero a[1]
  u0 = uffd-unregister a
  w0 = uffd-wake n
thread P.u
  barrier go
  r0 = load a[0]
  r1 = load a[1]
  s0 = store k[0] 7
  r2 = load k[0]
)",
                             some);
  expect_clean(seen, some);
  const std::pair<const char*, const char*> expected[] = {
      {"P.t:m0", "ok"},     {"P.t:m1", "EINVAL"}, {"P.t:m2", "ok"},     {"P.t:p0", "ok"}, {"P.t:c0", "ok"},
      {"P.t:c1", "EEXIST"}, {"P.t:c2", "EEXIST"}, {"P.t:c3", "ENOENT"}, {"P.t:r0", "4"},  {"P.t:p1", "ok"},
      {"P.t:p2", "ENOENT"}, {"P.t:z0", "EEXIST"}, {"P.t:z1", "ok"},     {"P.t:u0", "ok"}, {"P.t:w0", "ok"},
      {"P.u:r0", "5"},      {"P.u:r1", "zero"},   {"P.u:s0", "ok"},     {"P.u:r2", "7"}};
  for (const auto& [key, text] : expected) EXPECT_EQ(seen.only(key), text) << key;
}

// At the end pages are still registered and missing, in a parent whose descriptor its child inherited too.
TEST_F(UserfaultTest, ObservesDoNotWait) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages anon rw
thread P.t
  uffd-register a[0] missing
  fork C
  r0 = load a[1]
process C
  r0 = load a[0]
  c0 = uffd-copy a[1] 3
  uffd-register a[1] missing
  c1 = uffd-copy a[1] 3
  uffd-protect a[1]
observe P:a[0] C:a[0] C:a[1]
)",
                             some);
  expect_clean(seen, some);
  const std::pair<const char*, const char*> expected[] = {{"P.t:r0", "zero"}, {"C:r0", "zero"},   {"C:c0", "ENOENT"},
                                                          {"C:c1", "ok"},     {"P:a[0]", "zero"}, {"C:a[1]", "3"}};
  for (const auto& [key, text] : expected) EXPECT_EQ(seen.only(key), text) << key;
}

// Negative control: it is the other thread that lets the load go on.
TEST_F(UserfaultTest, FaultWaitsUntilItIsResolved) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 1 page anon rw
thread P.t
  uffd-register a missing
  barrier go
  delay 5ms
  uffd-copy a[0] 5
thread P.u
  barrier go
  r0 = load a[0]
)",
                             10);
  expect_clean(seen, 10);
  EXPECT_EQ(seen.only("P.u:r0"), "5");
}

TEST_F(UserfaultTest, KilledWhileItWaits) {
  const Seen seen = run_text(
      "scenario s\nprocess P\n  a: 1 page anon rw\nthread P.t\n  fork C\n  delay 2ms\n  kill C\n  w0 = wait C\n"
      "process C\n  uffd-register a missing\n  r0 = load a[0]\n",
      10);
  expect_clean(seen, 10);
  EXPECT_EQ(seen.only("P.t:w0"), "killed");
}

TEST_F(UserfaultTest, OpensNoneForOthers) {
  const Program program = parse(
      "scenario s\nprocess P\n  a: 1 page anon rw\nthread P.t\n  store a[0] 1\n  fork C\nprocess C\n  uffd-wake a\n", "test.scn");
  Userfault uffd;
  const op::UffdWake wake{.range = {0, 0, 1}};
  EXPECT_EQ(uffd.prepare(program, 0), nullptr);
  EXPECT_EQ(uffd.request(wake, Layout(program), 1), EBADF);
  EXPECT_EQ(uffd.prepare(program, 1), nullptr);
  EXPECT_EQ(uffd.request(wake, Layout(program), 1), 0);
  uffd.close();
  EXPECT_EQ(uffd.request(wake, Layout(program), 1), EBADF);
}

}  // namespace
}  // namespace faultline
