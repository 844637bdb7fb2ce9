// Each operation has the result that every Linux gives.
#include <errno.h>

#include <gtest/gtest.h>

#include "harness/executor/test_support.h"

namespace faultline {
namespace {

constexpr std::uint64_t some = 50;

TEST(Operations, LoadsAndStores) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages anon rw = 7
  b: 1 page anon rw
  n: 1 page none
  k: 1 page anon r = 4
  x: 1 page anon -
thread P.t
  r0 = load a[1]
  r1 = store a[1] 200
  r2 = load a[1]
  r3 = load b[0]
  r4 = load n[0]
  r5 = store n[0] 1
  r6 = load k[0]
  r7 = store k[0] 1
  r8 = load k[0]
  r9 = load x[0]
)",
                             some);
  expect_clean(seen, some);
  const std::vector<std::string> expected = {"7", "ok", "200", "zero", "SIGSEGV", "SIGSEGV", "4", "SIGSEGV", "4", "SIGSEGV"};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(seen.only("P.t:r" + std::to_string(i)), expected[i]) << i;
}

TEST(Operations, Mappings) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 3 pages anon rw = 7
  b: 3 pages none
thread P.t
  u = munmap a[0]
  r0 = load a[0]
  m = mmap a[0] anon rw
  r1 = load a[0]
  v = mremap a[1..2] -> b[0]
  r2 = load b[1]
  r3 = load a[2]
  d = madvise b[1] dontneed
  r4 = load b[1]
  p = mprotect b[0] r
  r5 = store b[0] 1
  r6 = load b[0]
  q = mprotect b[0..1] rw
  r7 = store b[0] 1
  r8 = load b[0]
  h = madvise a[0] hugepage
  e0 = mprotect b[0..2] r
  e1 = mremap b[2] -> a[1]
  e2 = madvise b[2] dontneed
  e3 = munmap b[2]
)",
                             some);
  expect_clean(seen, some);
  for (const char* key : {"u", "m", "v", "d", "p", "q", "h"}) EXPECT_EQ(seen.only(std::string("P.t:") + key), "ok") << key;
  EXPECT_EQ(seen.only("P.t:r0"), "SIGSEGV");
  EXPECT_EQ(seen.only("P.t:r1"), "zero");
  EXPECT_EQ(seen.only("P.t:r2"), "7@a[2]");
  EXPECT_EQ(seen.only("P.t:r3"), "SIGSEGV");
  EXPECT_EQ(seen.only("P.t:r4"), "zero");
  EXPECT_EQ(seen.only("P.t:r5"), "SIGSEGV");
  EXPECT_EQ(seen.only("P.t:r6"), "7@a[1]");
  EXPECT_EQ(seen.only("P.t:r7"), "ok");
  EXPECT_EQ(seen.only("P.t:r8"), "1");
  EXPECT_EQ(seen.only("P.t:e0"), "ENOMEM");
  EXPECT_EQ(seen.only("P.t:e1"), "EFAULT");
  EXPECT_EQ(seen.only("P.t:e2"), "ENOMEM");
  EXPECT_EQ(seen.only("P.t:e3"), "ok");
}

TEST(Operations, Stacks) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 3 pages stack rw = 7
  b: 2100 pages stack rw
  n: 2 pages none
thread P.t
  munmap a[0..1]
  r0 = store a[0] 8
  r1 = load a[1]
  mmap n[1] stack rw
  r2 = load n[0]
  r3 = load a[0]
  munmap b[0..2098]
  r4 = load b[0]
  r5 = load b[52]
)",
                             some);
  expect_clean(seen, some);
  const std::vector<std::string> expected = {"ok", "zero", "zero", "8", "SIGSEGV", "zero"};
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(seen.only("P.t:r" + std::to_string(i)), expected[i]) << i;
}

TEST(Operations, Advice) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 2 pages anon rw = 7
  k: 1 page anon r
  n: 1 page none
  s: 1 page shared rw = 3
thread P.t
  w = madvise a[1] wipeonfork
  w1 = madvise s wipeonfork
  p0 = madvise a populate-read
  p1 = madvise k populate-write
  p2 = madvise n populate-read
  p3 = madvise s populate-write
  f0 = madvise a[0] free
  f1 = madvise s free
  store a[0] 8
  o = madvise a pageout
  r0 = load a[0]
  fork C
  k = madvise a[1] keeponfork
  fork D
process C
  r0 = load a[0]
  r1 = load a[1]
process D
  r1 = load a[1]
)",
                             some);
  expect_clean(seen, some);
  for (const char* key : {"w", "p0", "p3", "f0", "o", "k"}) EXPECT_EQ(seen.only(std::string("P.t:") + key), "ok") << key;
  for (const char* key : {"w1", "p1", "f1"}) EXPECT_EQ(seen.only(std::string("P.t:") + key), "EINVAL") << key;
  EXPECT_EQ(seen.only("P.t:p2"), "ENOMEM");
  EXPECT_EQ(seen.only("P.t:r0"), "8");
  EXPECT_EQ(seen.only("C:r0"), "8");
  EXPECT_EQ(seen.only("C:r1"), "zero");
  EXPECT_EQ(seen.only("D:r1"), "7");
}

TEST(Operations, Files) {
  for (const std::string kind : {"file", "memfd"}) {
    const Seen seen = run_text("scenario s\nprocess P\n  " + kind + R"( f: 2 pages
  s: 2 pages shared f rw = 7
  p: 3 pages private f r
  x: 1 page none
thread P.t
  r0 = load p[1]
  e0 = load p[2]
  e1 = madvise p[2] populate-read
  mmap x private f rw
  store x[0] 8
  r1 = load s[0]
  y = msync s
  h = madvise s[0] remove
  r2 = load p[0]
  r3 = load x[0]
  t = truncate f 1
  e2 = store s[1] 9
  truncate f 3
  r4 = load p[1]
  fork C
process C
  truncate f 0
  r0 = load p[0]
)",
                               some);
    expect_clean(seen, some);
    for (const char* key : {"y", "h", "t"}) EXPECT_EQ(seen.only(std::string("P.t:") + key), "ok") << kind << key;
    EXPECT_EQ(seen.only("P.t:r0"), "7@s[1]") << kind;
    EXPECT_EQ(seen.only("P.t:r1"), "7") << kind;
    EXPECT_EQ(seen.only("P.t:r3"), "8") << kind;
    for (const char* key : {"r2", "r4"}) EXPECT_EQ(seen.only(std::string("P.t:") + key), "zero") << kind << key;
    for (const char* key : {"P.t:e0", "P.t:e2", "C:r0"}) EXPECT_EQ(seen.only(key), "SIGBUS") << kind << key;
    EXPECT_EQ(seen.only("P.t:e1"), "EFAULT") << kind;
  }
}

TEST(Operations, ForkSeparatesPrivateAndSharesSharedMemory) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 1 page anon rw = 1
  d: 1 page anon rw = 1
  s: 1 page shared rw = 1
thread P.t
  f = madvise d dontfork
  k = fork C
  barrier forked
  store a[0] 2
  store s[0] 2
  barrier stored
  r0 = load a[0]
process C
  barrier forked
  barrier stored
  r0 = load a[0]
  r1 = load s[0]
  r2 = load d[0]
  store a[0] 3
  r3 = load a[0]
observe P:a[0] C:a[0] P:d[0] C:d[0]
)",
                             some);
  expect_clean(seen, some);
  EXPECT_EQ(seen.only("P.t:k"), "ok");
  EXPECT_EQ(seen.only("P.t:r0"), "2");
  EXPECT_EQ(seen.only("C:r0"), "1");
  EXPECT_EQ(seen.only("C:r1"), "2");
  EXPECT_EQ(seen.only("C:r2"), "SIGSEGV");
  EXPECT_EQ(seen.only("C:r3"), "3");
  EXPECT_EQ(seen.only("P:a[0]"), "2");
  EXPECT_EQ(seen.only("C:a[0]"), "3");
  EXPECT_EQ(seen.only("P:d[0]"), "1");
  EXPECT_EQ(seen.only("C:d[0]"), "SIGSEGV");
}

TEST(Operations, ExitAndWait) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 1 page anon rw = 1
thread P.t
  w0 = wait C
  fork C
  w1 = wait C
  w2 = wait C
  k = kill C
process C
  e = exit
observe C:a[0]
)",
                             some);
  expect_clean(seen, some);
  EXPECT_EQ(seen.only("P.t:w0"), "ECHILD");
  EXPECT_EQ(seen.only("P.t:w1"), "exited");
  EXPECT_EQ(seen.only("P.t:w2"), "ECHILD");
  EXPECT_EQ(seen.only("P.t:k"), "ESRCH");
  EXPECT_EQ(seen.only("C:e"), "ok");
  EXPECT_EQ(seen.only("C:a[0]"), "-");
}

TEST(Operations, KillLeavesWhatWasKnown) {
  const Seen seen = run_text(R"(scenario s
process P
  a: 1 page anon rw = 1
thread P.t
  k0 = kill C
  fork C
  barrier b
  k1 = kill C
  w = wait C
process C
  r0 = load a[0]
  barrier b
  delay 900ms
  r1 = load a[0]
  r2 = load a[0]
)",
                             10);
  expect_clean(seen, 10);
  EXPECT_EQ(seen.only("P.t:k0"), "ESRCH");
  EXPECT_EQ(seen.only("P.t:k1"), "ok");
  EXPECT_EQ(seen.only("P.t:w"), "killed");
  EXPECT_EQ(seen.only("C:r0"), "1");
  EXPECT_EQ(seen.only("C:r1"), "-");  // killed during the delay
  EXPECT_EQ(seen.only("C:r2"), "-");
}

TEST(Operations, DeviceDescriptors) {
  const Seen seen = run_text(R"(scenario s
device d: shares-cpu-tables
process P
  a: 4 pages anon rw = 1
thread P.t
  r0 = load a[0] via d
  o = open d
  o2 = open d
  r1 = load a[0] via d
  st = store a[1] 5 via d
  r2 = load a[1]
  sn = snapshot a via d
  c = close d
  r3 = load a[0] via d
  e = close d
)",
                             some);
  expect_clean(seen, some);
  EXPECT_EQ(seen.only("P.t:r0"), "EBADF");
  EXPECT_EQ(seen.only("P.t:o"), "ok");
  EXPECT_EQ(seen.only("P.t:o2"), "EBUSY");
  EXPECT_EQ(seen.only("P.t:r1"), "1");
  EXPECT_EQ(seen.only("P.t:r1.faults"), "hit");
  EXPECT_EQ(seen.only("P.t:st.faults"), "fault");
  EXPECT_EQ(seen.only("P.t:r0.faults"), "-");
  EXPECT_EQ(seen.only("P.t:r2"), "5");
  EXPECT_EQ(seen.only("P.t:sn"), ".rw!");
  EXPECT_EQ(seen.only("P.t:c"), "ok");
  EXPECT_EQ(seen.only("P.t:r3"), "EBADF");
  EXPECT_EQ(seen.only("P.t:e"), "EBADF");
}

TEST(Operations, DeviceIsOpenFromTheStartWithoutAnOpenStatement) {
  const Seen seen = run_text(R"(scenario s
device d: shares-cpu-tables
process P
  a: 1 page anon rw = 1
  k: 1 page anon r = 1
thread P.gpu on d
  r0 = load a[0]
  s0 = store k[0] 2
thread P.t
  fork C
process C
thread C.gpu on d
  r0 = load a[0]
)",
                             some);
  expect_clean(seen, some);
  EXPECT_EQ(seen.only("P.gpu:r0"), "1");
  EXPECT_EQ(seen.only("P.gpu:s0"), "SIGSEGV");
  EXPECT_EQ(seen.only("C.gpu:r0"), "1");
}

TEST(Operations, AFailingOpenIsAnErrorOfTheBench) {
  CpuTarget target;
  target.open_error = EMFILE;
  RunPlan plan;
  plan.iterations = 100;
  const Seen seen = run_text(R"(scenario s
device d: shares-cpu-tables
process P
  a: 1 page anon rw = 1
thread P.gpu on d
  r0 = load a[0]
)",
                             target, plan);
  EXPECT_EQ(seen.iterations, 0u);
  ASSERT_EQ(seen.errors.size(), 5u);  // the run gives up after five errors in a row
  EXPECT_EQ(seen.errors[0], "iteration 0: cannot open the device (process 0, thread -1, code 24)");
}

TEST(Operations, WhatCannotBeExecutedIsRefused) {
  const Seen inherited = run_text(R"(scenario s
device d: shares-cpu-tables
process P
  a: 1 page anon rw = 1
thread P.t
  fork C
process C
  load a[0] via P.d
)",
                                  5);
  EXPECT_EQ(inherited.iterations, 0u);
  ASSERT_EQ(inherited.errors.size(), 1u);
}

}  // namespace
}  // namespace faultline
