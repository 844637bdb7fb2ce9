#include "harness/executor/memory_need.h"

#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include <gtest/gtest.h>

#include "harness/language/parser.h"

namespace faultline {
namespace {

constexpr std::uint64_t page = 4096;

std::uint64_t need(const std::string& body) { return memory_need(parse("scenario s\nprocess P\n" + body, "s.scn")); }

TEST(MemoryNeed, CountsWhatIsPopulated) {
  EXPECT_EQ(need("  a: 268435456 pages anon rw\n  load a[0]\n"), page);  // a large mapping costs nothing by itself
  EXPECT_EQ(need("  a: 268435456 pages anon rw\n  munmap a\n"), 0u);
  EXPECT_EQ(need("  a: 268435456 pages anon rw\n  madvise a dontneed\n"), 0u);
  EXPECT_EQ(need("  a: 268435456 pages anon rw\n  madvise a populate-write\n"), (std::uint64_t{1} << 28) * page);
  EXPECT_EQ(need("  a: 100 pages anon rw = 7\n  load a[0]\n"), 100 * page);
  EXPECT_EQ(need("  a: 3 pages anon rw\n  madvise a populate-write\n  madvise a populate-read\n"), 3 * page);
  EXPECT_EQ(need("  a: 100 pages anon rw = 7\n  fork C\nprocess C\n  load a[0]\n"), 200 * page);
}

TEST(MemoryNeed, IsHeldAgainstTheMachine) {
  EXPECT_EQ(available_memory("MemTotal: 9 kB\nMemAvailable:   20 kB\n"), 20u * 1024);
  EXPECT_EQ(available_memory(""), UINT64_MAX);
  const std::string text = "scenario s\nprocess P\n  a: 268435456 pages anon rw\n";
  EXPECT_EQ(too_much_memory(parse(text + "  load a[0]\n", "s.scn")), "");
  EXPECT_TRUE(too_much_memory(parse(text + "  madvise a populate-write\n", "s.scn"))
                  .starts_with("it may take 1024.0 GiB of memory, which is more than half of the "));
}

TEST(MemoryNeed, TheOomKillerFindsTheTestedProcessesFirst) {
  const pid_t child = fork();
  if (child == 0) {
    be_first_for_oom_killer();
    std::ifstream file("/proc/self/oom_score_adj");
    int score = 0;
    file >> score;
    _exit(score == 1000 ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace faultline
