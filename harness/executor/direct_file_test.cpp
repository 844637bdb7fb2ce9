// direct-read and direct-write have the result that every Linux gives. Also: machines without a file for them.
#include "harness/executor/direct_file.h"

#include <errno.h>

#include <gtest/gtest.h>

#include "harness/executor/test_support.h"
#include "harness/language/parser.h"

namespace faultline {
namespace {

constexpr std::uint64_t some = 50;

TEST(DirectFile, Transfers) {
  if (!capabilities_here(CpuTarget()).direct) GTEST_SKIP() << "no file system with O_DIRECT";
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages anon rw = 7
  z: 1 page anon rw
  k: 1 page anon r = 4
  n: 1 page none
thread P.t
  d0 = direct-read a[1] 200
  r0 = load a[1]
  r1 = load a[0]
  store a[0] 8
  g0 = direct-write a[0]
  g1 = direct-write a[1]
  g2 = direct-write z[0]
  g3 = direct-write k[0]
  g4 = direct-write n[0]
  d1 = direct-read k[0] 9
  d2 = direct-read n[0] 9
  mremap a[0] -> n[0]
  g5 = direct-write n[0]
  fork C
process C
  d3 = direct-read z[0] 10
  r2 = load z[0]
  g6 = direct-write n[0]
)",
                             some);
  expect_clean(seen, some);
  const std::pair<const char*, const char*> expected[] = {
      {"P.t:d0", "ok"},     {"P.t:r0", "200"}, {"P.t:r1", "7"},      {"P.t:g0", "8"},      {"P.t:g1", "200"},
      {"P.t:g2", "zero"},   {"P.t:g3", "4"},   {"P.t:g4", "EFAULT"}, {"P.t:d1", "EFAULT"}, {"P.t:d2", "EFAULT"},
      {"P.t:g5", "8@a[0]"}, {"C:d3", "ok"},    {"C:r2", "10"},       {"C:g6", "8@a[0]"}};
  for (const auto& [key, text] : expected) EXPECT_EQ(seen.only(key), text) << key;
}

// The file's content is that of this iteration, and each statement has its own page.
TEST(DirectFile, EveryStatementHasItsPage) {
  if (!capabilities_here(CpuTarget()).direct) GTEST_SKIP() << "no file system with O_DIRECT";
  const Program program = parse(
      "scenario s\nprocess P\n  a: 2 pages anon rw\nthread P.t\n  direct-read a[0] 1\n  direct-write a[0]\n"
      "thread P.u\n  direct-read a[1] 1\n",
      "test.scn");
  const Layout layout(program);
  DirectFile file;
  std::uint64_t word[3] = {}, again = 0;
  for (const std::uint64_t iteration : {5, 6}) {
    again = word[0];
    ASSERT_EQ(file.prepare(program, layout, 0, iteration), nullptr);
    for (int slot = 0; slot < 3; ++slot) ASSERT_EQ(file.written(slot, &word[slot]), 0);
  }
  EXPECT_NE(word[0], again);
  EXPECT_NE(word[0], word[2]) << "the cells differ";
  EXPECT_NE(word[0], word[1]) << "nothing has been written yet";
}

TEST(DirectFile, IsNotMadeForOthers) {
  const Program program = parse("scenario s\nprocess P\n  a: 1 page anon rw\nthread P.t\n  store a[0] 1\n", "test.scn");
  DirectFile file;
  EXPECT_EQ(file.prepare(program, Layout(program), 0, 1), nullptr);
  std::uint64_t word = 0;
  EXPECT_EQ(file.written(0, &word), EBADF);
}

}  // namespace
}  // namespace faultline
