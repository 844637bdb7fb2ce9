// Tests of the agent over pipes, seen from a client.
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "harness/agent/server.h"
#include "harness/app/agent_targets.h"
#include "harness/app/agent_watch.h"
#include "harness/executor/process_watch.h"
#include "harness/version.h"

namespace faultline::agent {
namespace {

constexpr const char* small_scenario = R"(scenario small
process P
  a: 1 page anon rw = 1
thread P.t
  r = load a[0]
)";

// Runs an agent in a process of its own.
class AgentTest : public testing::Test {
 protected:
  void SetUp() override {
    int to[2], from[2];
    ASSERT_EQ(pipe(to), 0);
    ASSERT_EQ(pipe(from), 0);
    pid_ = fork();
    if (pid_ == 0) {
      signal(SIGPIPE, SIG_IGN);
      prctl(PR_SET_CHILD_SUBREAPER, 1);
      close(to[1]);
      close(from[0]);
      dup2(to[0], STDIN_FILENO);
      dup2(from[1], STDOUT_FILENO);
      close(to[0]);
      close(from[1]);
      _exit(serve());
    }
    close(to[0]);
    close(from[1]);
    to_ = to[1];
    from_ = from[0];
  }

  // A function of its own, so that the Agent's destructor kills everything that it started; _exit() runs no destructors.
  static int serve() { return Agent(STDIN_FILENO, STDOUT_FILENO, false, kernel_targets(), watch_here(), tell_of_storm).serve(); }

  // In place of a storm. Goes on until it is stopped.
  static std::uint64_t tell_of_storm(const StormRequest& request, Target& target, Outlet& outlet) {
    if (request.plan.seed == 0) throw std::runtime_error("no seed");
    StormNews news;
    news.counts[target.name()] = static_cast<std::uint64_t>(request.plan.deadline_ms);
    outlet.send(StormEvent{request.id, news});
    while (!outlet.stop_requested()) usleep(1000);
    return 3;
  }

  void TearDown() override {
    if (to_ >= 0) close(to_);
    int status = 0;
    if (!wait_for_death(pid_, 20'000)) {
      ADD_FAILURE() << "the agent does not end with its stream";
      kill(pid_, SIGKILL);
    }
    waitpid(pid_, &status, 0);
    close(from_);
  }

  void say(const Request& request) { say_line(to_line(request)); }
  void say_line(std::string line) {
    line += '\n';
    ASSERT_EQ(write(to_, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  }
  void run(std::uint64_t id, const std::string& text, std::uint64_t iterations, const std::string& target = "host") {
    RunRequest request{id, target, text, "t.scn", {}};
    request.plan.iterations = iterations;
    request.plan.deadline_ms = 0;
    say(Request{request});
  }

  Event hear() {
    for (;;) {
      if (const auto line = lines_.next()) return parse_event(*line);
      pollfd watched{from_, POLLIN, 0};
      char buffer[65536];
      const ssize_t got = poll(&watched, 1, 60'000) == 1 ? read(from_, buffer, sizeof buffer) : 0;
      if (got <= 0) {
        ADD_FAILURE() << "the agent says nothing";
        return ErrorEvent{0, "(silence)"};
      }
      lines_.feed({buffer, static_cast<std::size_t>(got)});
    }
  }
  // Everything that was received up to the "done" of a run.
  struct Heard {
    std::uint64_t iterations = 0;  // by "done"
    std::uint64_t counted = 0;     // by batches
    std::vector<std::string> errors;
    std::optional<Parameters> parameters;  // of the first batch
  };
  Heard hear_run() {
    Heard heard;
    for (;;) {
      const Event event = hear();
      if (const auto* batch = std::get_if<BatchEvent>(&event)) {
        heard.counted += batch->batch.count;
        if (!heard.parameters) heard.parameters = batch->batch.parameters;
      }
      if (const auto* error = std::get_if<ErrorEvent>(&event)) heard.errors.push_back(error->message);
      if (const auto* done = std::get_if<DoneEvent>(&event)) {
        heard.iterations = done->iterations;
        return heard;
      }
      if (HasFailure()) return heard;
    }
  }

  // Waits for the agent's child to exist and gives its pid.
  pid_t runner() {
    for (int i = 0; i < 5000; ++i) {
      const auto children = children_of(pid_);
      if (!children.empty()) return children.front();
      usleep(1000);
    }
    ADD_FAILURE() << "no runner";
    return -1;
  }

  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
  LineReader lines_;
};

TEST_F(AgentTest, SaysWhatTheMachineIs) {
  say(Request{HelloRequest{}});
  const auto hello = std::get<HelloEvent>(hear());
  EXPECT_EQ(hello.agent, version);
  EXPECT_GT(hello.cpus, 0);
  ASSERT_EQ(hello.targets.size(), 3u);
  EXPECT_EQ(hello.targets[0].name, "host");
  EXPECT_TRUE(hello.targets[0].available);
  EXPECT_EQ(hello.targets[1].name, "dmirror");
  EXPECT_EQ(hello.targets[1].available, hello.targets[1].why.empty());
  EXPECT_EQ(hello.targets[2].name, "pinned");
  EXPECT_EQ(hello.targets[2].available, hello.targets[2].why.empty());
  EXPECT_EQ(hello.log, hello.log_why.empty());
}

TEST_F(AgentTest, RunsOneAfterTheOther) {
  run(1, small_scenario, 100);
  Heard heard = hear_run();
  EXPECT_EQ(heard.iterations, 100u);
  EXPECT_EQ(heard.counted, 100u);
  EXPECT_TRUE(heard.errors.empty());
  run(2, small_scenario, 7);
  EXPECT_EQ(hear_run().iterations, 7u);
}

TEST_F(AgentTest, WhatARunLearntIsKnownToTheNextOne) {
  run(1, small_scenario, 100);
  const Heard first = hear_run();
  run(2, small_scenario, 100);
  const Heard second = hear_run();
  ASSERT_TRUE(first.parameters && second.parameters);
  EXPECT_EQ(first.parameters->seed, second.parameters->seed);
  EXPECT_NE(*first.parameters, *second.parameters) << "they are drawn from the seed and from what was learnt";
}

TEST_F(AgentTest, RefusesWithWords) {
  say_line("nonsense");
  EXPECT_EQ(std::get<ErrorEvent>(hear()).message, "bad request: not JSON: nonsense");
  run(1, small_scenario, 10, "toaster");
  EXPECT_EQ(hear_run().errors, std::vector<std::string>{"there is no target \"toaster\""});
  run(2, "scenario\n", 10);
  EXPECT_EQ(hear_run().errors.at(0).substr(0, 6), "t.scn:");
  say(Request{CrashRequest{}});
  EXPECT_EQ(std::get<ErrorEvent>(hear()).message, "crash: this agent was not started with --allow-crash");
  RunRequest request{3, "host", small_scenario, "t.scn", {}};
  request.plan.parameters = Parameters{1, {0, 0}, {{0, 0}}, {}};
  say(Request{request});
  EXPECT_EQ(hear_run().errors, std::vector<std::string>{"parameters: 2 cpus for 1 threads"});
}

TEST_F(AgentTest, RunsAStormUntilItIsStopped) {
  say(Request{StormRequest{4, "host", {.seed = 9, .deadline_ms = 1234}}});
  const auto told = std::get<StormEvent>(hear());
  EXPECT_EQ(told.id, 4u);
  EXPECT_EQ(told.news.counts.at("host"), 1234u);
  say(Request{StormRequest{5, "host", {}}});
  EXPECT_EQ(hear_run().errors, std::vector<std::string>{"a run is in progress"});
  say(Request{StopRequest{}});
  EXPECT_EQ(hear_run().iterations, 3u);
  say(Request{StormRequest{6, "host", {.deadline_ms = 0}}});
  EXPECT_GT(std::get<StormEvent>(hear()).news.counts.at("host"), 1000u);  // the agent's own
  say(Request{StopRequest{}});
  EXPECT_EQ(hear_run().iterations, 3u);
  say(Request{StormRequest{7, "toaster", {}}});
  EXPECT_EQ(hear_run().errors, std::vector<std::string>{"there is no target \"toaster\""});
  say(Request{StormRequest{8, "host", {.seed = 0}}});
  EXPECT_EQ(hear_run().errors, std::vector<std::string>{"no seed"});
}

TEST_F(AgentTest, SkipsWhatTheTargetCannotShow) {
  run(5, "scenario s\ndevice d: recoverable\nprocess P\n  a: 1 page anon rw = 1\nthread P.t\n  migrate a to d\n", 10);
  const auto skipped = std::get<SkippedEvent>(hear());
  EXPECT_EQ(skipped.id, 5u);
  EXPECT_NE(skipped.why, "");
}

TEST_F(AgentTest, StopsWhenAsked) {
  run(1, small_scenario, 1'000'000'000);
  EXPECT_TRUE(std::holds_alternative<BatchEvent>(hear()));
  run(2, small_scenario, 1);
  say(Request{StopRequest{}});
  const Heard heard = hear_run();  // the "done" of the refused run comes first
  EXPECT_EQ(heard.errors, std::vector<std::string>{"a run is in progress"});
  const Heard stopped = hear_run();
  EXPECT_LT(stopped.iterations, 1'000'000'000u);
  run(3, small_scenario, 5);
  EXPECT_EQ(hear_run().iterations, 5u);
}

TEST_F(AgentTest, ARootThatIsKilledIsAnErrorAndTheRunGoesOn) {
  run(1, small_scenario, 1'000'000'000);
  EXPECT_TRUE(std::holds_alternative<BatchEvent>(hear()));
  for (pid_t root : children_of(runner())) kill(root, SIGKILL);
  bool told = false;
  int batches_after = 0;
  while (!HasFailure() && batches_after < 2) {
    const Event event = hear();
    if (const auto* error = std::get_if<ErrorEvent>(&event)) {
      EXPECT_NE(error->message.find("process P was ended by nobody in the scenario"), std::string::npos);
      told = true;
    }
    if (told && std::holds_alternative<BatchEvent>(event)) ++batches_after;
  }
  say(Request{StopRequest{}});
  hear_run();
}

TEST_F(AgentTest, ARunnerThatIsKilledEndsItsRun) {
  run(1, small_scenario, 1'000'000'000);
  EXPECT_TRUE(std::holds_alternative<BatchEvent>(hear()));
  kill(runner(), SIGKILL);
  EXPECT_EQ(hear_run().errors, std::vector<std::string>{"the runner ended: signal 9"});
  run(2, small_scenario, 5);
  EXPECT_EQ(hear_run().iterations, 5u);
}

TEST_F(AgentTest, NothingSurvivesTheEndOfTheStream) {
  run(1, R"(scenario s
process P
  a: 1 page anon rw = 1
thread P.t
  fork C
  delay 900ms
process C
)",
      1'000'000'000);
  const pid_t busy = runner();
  close(to_);
  to_ = -1;
  EXPECT_TRUE(wait_for_death(pid_, 20'000));
  EXPECT_EQ(kill(-busy, 0), -1) << "its process group is still there";
}

TEST_F(AgentTest, QuitEndsIt) {
  say(Request{QuitRequest{}});
  EXPECT_TRUE(wait_for_death(pid_, 20'000));
}

}  // namespace
}  // namespace faultline::agent
