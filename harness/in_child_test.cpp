// in_child() gives the answer, or says why there is none, whatever happens to the child.
#include "harness/in_child.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

namespace faultline {
namespace {

using namespace std::chrono_literals;

TEST(InChild, AnswersWithAsMuchAsThereIs) {
  const std::string large(1 << 20, 'a');  // more than a pipe holds
  const ChildAnswer answer = in_child([&] { return large; }, 60s);
  EXPECT_TRUE(answer.whole());
  EXPECT_EQ(answer.text, large);
  EXPECT_TRUE(in_child([] { return ""; }, 60s).whole());
}

TEST(InChild, GivesPlainBytes) {
  struct Two {
    int a, b;
  };
  const std::optional<Two> two = in_child<Two>([] { return Two{3, 4}; });
  ASSERT_TRUE(two);
  EXPECT_EQ(two->a, 3);
  EXPECT_EQ(two->b, 4);
  EXPECT_FALSE(in_child<int>([]() -> int { _exit(0); }));
}

TEST(InChild, DoesNotOutliveAParentThatIsGoneAlready) {
  const pid_t child = fork();
  if (child == 0) {
    die_with(getpid());  // which is not the parent
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 127);
}

TEST(InChild, OneThatDiesIsTold) {
  const ChildAnswer killed = in_child(
      []() -> std::string {
        raise(SIGKILL);
        return "";
      },
      60s);
  EXPECT_FALSE(killed.whole());
  EXPECT_FALSE(killed.late);
  EXPECT_EQ(WTERMSIG(killed.status), SIGKILL);
  const ChildAnswer thrown = in_child([]() -> std::string { throw std::runtime_error("driver"); }, 60s);
  EXPECT_FALSE(thrown.whole());
  EXPECT_EQ(WEXITSTATUS(thrown.status), 1);
}

TEST(InChild, OneThatHangsIsLate) {
  const ChildAnswer answer = in_child(
      []() -> std::string {
        for (;;) pause();
      },
      20ms);
  EXPECT_TRUE(answer.late);
  EXPECT_FALSE(answer.whole());
}

TEST(InChild, WhatItPrintsIsNotOnStdout) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const ChildAnswer answer = in_child([] { return write(STDOUT_FILENO, "talk", 4) == 4 ? "told" : ""; }, 60s);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "talk");
  EXPECT_EQ(answer.text, "told");
}

}  // namespace
}  // namespace faultline
