// Whole runs with fake_agent.py, which does things that no healthy machine does.
#include "harness/run/run_test.h"

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST_F(RunTest, Agree) {
  const RunResult result = go({});
  ASSERT_EQ(result.trials.size(), 2u);
  for (const Trial& trial : result.trials) {
    EXPECT_EQ(verdict(trial), Verdict::agree);
    EXPECT_EQ(trial.iterations, 500u);
    EXPECT_EQ(trial.kernel, "6.1.99 #1 SMP");
  }
  EXPECT_EQ(result.exit_code(), 0);
  EXPECT_EQ(told_, (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(machines_, 1);
  EXPECT_EQ(records("verdict").size(), 2u);
  EXPECT_EQ(records("batch").at(0)["parameters"]["seed"], 5);
  EXPECT_EQ(records("end").at(0)["exit_code"], 0);
}

// Each fault happens in the first of two scenarios, on this machine. Checks the result of the first, and that the second runs.
struct Row {
  const char* fault;
  Verdict verdict;
  const char* reason;
  int exit_code;
  int machines;
};
class RunFault : public RunTest, public testing::WithParamInterface<Row> {};
TEST_P(RunFault, AndGoesOn) {
  const Row& row = GetParam();
  const RunResult result = go({std::string("--fault=one=") + row.fault});
  EXPECT_EQ(verdict(result.trials[0]), row.verdict);
  EXPECT_EQ(reason(result.trials[0]), row.reason);
  EXPECT_EQ(verdict(result.trials[1]), Verdict::agree);
  EXPECT_EQ(result.exit_code(), row.exit_code);
  EXPECT_EQ(machines_, row.machines);
}
INSTANTIATE_TEST_SUITE_P(
    Faults, RunFault,
    testing::Values(
        Row{"forbidden", Verdict::forbidden, "1 outcome is not allowed", 1, 1},
        Row{"die", Verdict::error, "the agent was lost, this machine is alive: its process ended: exit status 7", 4, 2},
        Row{"silent", Verdict::error, "the agent was lost, this machine is alive: it said nothing for 700 ms", 4, 2},
        Row{"chatter", Verdict::error, "the agent was lost, this machine is alive: it said nothing for 700 ms", 4, 2},
        Row{"toomuch", Verdict::error, "not the agent's protocol: it ran 600 iterations of 500", 4, 2},
        Row{"garbage", Verdict::error, "not the agent's protocol: unknown ev \"greetings\": {\"ev\": \"greetings\", \"id\": 1}",
            4, 2},
        Row{"notjson", Verdict::error, "not the agent's protocol: not JSON: \x1b[31mKernel panic: \x1b[31mKernel panic", 4, 2},
        Row{"health", Verdict::health, "WARNING at mm/hmm.c:1", 1, 1},
        Row{"crash", Verdict::health,
            "iteration 31 (seed 0): the driver took SIGSEGV at address 0x10 in clEnqueueSVMMemcpy, called by P.gpu at r0 (line "
            "8)",
            1, 1},
        Row{"hang", Verdict::hang, "iteration 31 (seed 0) hangs", 1, 1},
        Row{"stuck", Verdict::hang, "iteration 31 (seed 0) hangs, and survives SIGKILL", 1, 2},
        Row{"slow", Verdict::agree, "", 0, 1},
        Row{"once", Verdict::inconclusive, "iteration 31 (seed 0) hung, seen once: it did not come back", 3, 1},
        Row{"twice", Verdict::hang, "iteration 33 (seed 0) hangs, as another one did before", 1, 1},
        Row{"unready", Verdict::inconclusive, "iteration 31 (seed 0) was not set up in time: P opens its devices", 3, 1},
        Row{"patient", Verdict::agree, "", 0, 1}, Row{"error", Verdict::error, "fork: Cannot allocate memory", 4, 1},
        Row{"skip", Verdict::skipped, "no appetite", 0, 1},
        Row{"misfit", Verdict::error, "the agent's outcomes do not fit the scenario's observables", 4, 1},
        Row{"empty", Verdict::inconclusive, "no iteration was run", 3, 1}),
    [](const auto& row) { return std::string(row.param.fault); });

TEST_F(RunTest, AHangIsToldWithItsEvidenceAndItsTasks) {
  const RunResult result = go({"--fault=one=hang"});
  EXPECT_EQ(result.trials[0].threads,
            (std::vector<std::string>{
                "it was to end in 5 s, and then for 3.00 s none of its tasks got CPU time, or waited for a CPU",
                "process P (pid 90)", "  P.cpu (tid 91): load a[0]#1, state D, in hmm_range_fault, 0.01 s of CPU",
                "    dmirror_fault+0x1", "  thread 'pocl-worker' (tid 92): no statement, state S, 1.50 s of CPU"}));
}

TEST_F(RunTest, WhyAnIterationWasSlowIsKept) {
  const RunResult result = go({"--fault=one=slow"});
  EXPECT_EQ(result.trials[0].slow, 1u);
  EXPECT_EQ(result.trials[0].slow_why.substr(0, 19), "it was to end in 5 ");
  EXPECT_TRUE(result.trials[0].threads.empty());
}

TEST_F(RunTest, APanicInTheLabIsLostWithItsLastWords) {
  options_.targets = {{"lab", "dmirror"}};
  const RunResult result = go({"--fault", "two=panic"}, {"one", "two", "three"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::agree);
  EXPECT_EQ(verdict(result.trials[1]), Verdict::lost);
  EXPECT_EQ(result.trials[1].words, (std::vector<std::string>{"[   12.5] all is well", "[   12.5] bye", "[   12.5] last word"}));
  EXPECT_EQ(result.trials[1].machines_lost, 2);
  EXPECT_TRUE(result.trials[1].given_up);
  EXPECT_EQ(verdict(result.trials[2]), Verdict::agree);
  EXPECT_EQ(machines_, 3);
  const std::vector<json> lost = records("lost");
  ASSERT_EQ(lost.size(), 2u);
  EXPECT_EQ(lost[0]["words"][2], "[   12.5] last word");
  EXPECT_EQ(records("batch").at(0)["scenario"], "one");  // earlier records are still there
}

TEST_F(RunTest, ASplatBeforeTheEndIsHealth) {
  options_.targets = {{"lab", "dmirror"}};
  const RunResult result = go({"--fault=one=splat", "--once", folder_ / "once"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::health);
  EXPECT_EQ(reason(result.trials[0]), "BUG: kernel NULL pointer dereference");
  EXPECT_EQ(result.trials[0].iterations, 500u);  // the second machine did the rest
  EXPECT_EQ(result.trials[0].machines_lost, 1);
  EXPECT_EQ(machines_, 2);
  EXPECT_EQ(result.exit_code(), 1);
}

TEST_F(RunTest, AKernelThatWarnsWithoutEndDoesNotFillTheDisk) {
  const RunResult result = go({"--fault=one=flood"}, {"one"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::health);
  EXPECT_EQ(result.trials[0].iterations, 500u);
  EXPECT_EQ(result.trials[0].error, "the agent told more than 4 MiB beside its outcomes; the rest is not kept");
  EXPECT_GT(records("health").size(), 900u);
  EXPECT_LT(fs::file_size(path()), 5u << 20);
}

TEST_F(RunTest, AConsoleIsReadByTheWordsOfTheAgentsLog) {
  options_.targets = {{"lab", "dmirror"}};
  const RunResult result = go({"--fault=one=lockup", "--once", folder_ / "once"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::health);
  EXPECT_EQ(reason(result.trials[0]), "hard LOCKUP");
}

// Of the explained reports of the driver (known_findings.h) each is told once. The machine goes on.
TEST_F(RunTest, AKnownFindingIsToldAndIsNoFinding) {
  options_.targets = {{"lab", "amdgpu"}};
  const RunResult result = go({"--targets", "amdgpu", "--fault=one=known", "--fault=two=known"});
  EXPECT_EQ(result.exit_code(), 0);
  for (const Trial& trial : result.trials) {
    EXPECT_EQ(verdict(trial), Verdict::agree);
    EXPECT_EQ(trial.known, (std::set<std::string>{"lock-cycle"}));
  }
  ASSERT_EQ(notes_.size(), 1u);
  EXPECT_EQ(notes_[0].substr(0, 78), "one on lab:amdgpu: known finding lock-cycle (results/findings/lock-cycle.md): ");
  EXPECT_EQ(machines_, 1);
  EXPECT_EQ(records("verdict").at(0)["known"], (std::vector<std::string>{"lock-cycle"}));
}

TEST_F(RunTest, AKnownFindingOfAnotherTargetIsAFinding) {
  options_.targets = {{"lab", "dmirror"}};
  const RunResult result = go({"--fault=one=known"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::health);
  EXPECT_EQ(reason(result.trials[0]), "possible deadlock in svm_range_validate_and_map");
}

TEST_F(RunTest, AKnownFindingMayEndTheMachine) {
  options_.targets = {{"lab", "amdgpu"}};
  const RunResult result = go({"--targets", "amdgpu", "--fault=one=known-death", "--once", folder_ / "once"});
  EXPECT_EQ(result.exit_code(), 0);
  EXPECT_EQ(verdict(result.trials[0]), Verdict::agree);
  EXPECT_EQ(result.trials[0].iterations, 500u);  // the second machine did the rest
  EXPECT_EQ(result.trials[0].known, (std::set<std::string>{"lock-cycle", "reused-page"}));
  EXPECT_EQ(machines_, 2);
  EXPECT_TRUE(records("lost").empty());
}

TEST_F(RunTest, WhereAKnownFindingAlwaysEndsTheMachineTheScenarioIsSkipped) {
  options_.targets = {{"lab", "amdgpu"}};
  const RunResult result = go({"--targets", "amdgpu", "--fault=one=early-death"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::skipped);
  EXPECT_EQ(reason(result.trials[0]), "the machine died of a known finding before an iteration had ended: reused-page");
  EXPECT_EQ(machines_, 3);  // two for it, one for the next scenario
  EXPECT_EQ(result.exit_code(), 0);
}

// Its processes cannot be killed, but the kernel says why: the next machine does the rest. No hang is told.
TEST_F(RunTest, AKnownFindingMayLeaveTheMachineStuck) {
  options_.targets = {{"lab", "amdgpu"}};
  options_.deadline_ms = 2000;
  const RunResult result = go({"--targets", "amdgpu", "--fault=one=known-stuck", "--once", folder_ / "once"});
  EXPECT_EQ(result.exit_code(), 0);
  EXPECT_EQ(verdict(result.trials[0]), Verdict::agree);
  EXPECT_EQ(result.trials[0].iterations, 500u);
  EXPECT_EQ(result.trials[0].known, (std::set<std::string>{"self-wait"}));
  EXPECT_EQ(result.trials[0].machines_lost, 1);
  EXPECT_EQ(verdict(result.trials[1]), Verdict::agree);
  EXPECT_EQ(machines_, 2);
  EXPECT_TRUE(records("hang").empty());
  EXPECT_FALSE(result.interrupted);
  EXPECT_EQ(records("machine").at(2)["why"], "a known finding has ended the machine");
}

TEST_F(RunTest, AScenarioThatLosesTwoMachinesToAKnownFindingIsNotContinued) {
  options_.targets = {{"lab", "amdgpu"}};
  const RunResult result = go({"--targets", "amdgpu", "--fault=one=known-stuck"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::agree);
  EXPECT_EQ(result.trials[0].iterations, 200u);
  EXPECT_TRUE(result.trials[0].given_up);
  EXPECT_EQ(verdict(result.trials[1]), Verdict::agree);
  EXPECT_EQ(machines_, 3);
}

TEST_F(RunTest, AnotherHungTaskIsAFinding) {
  options_.targets = {{"lab", "amdgpu"}};
  const RunResult result = go({"--targets", "amdgpu", "--fault=one=hung-task"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::health);
  EXPECT_EQ(reason(result.trials[0]), "INFO: task hung in flush_delayed_work");
  EXPECT_TRUE(result.trials[0].given_up);
  EXPECT_EQ(result.trials[0].hang, "iteration 31 (seed 0) hangs, and survives SIGKILL");
  EXPECT_EQ(verdict(result.trials[1]), Verdict::agree);
  EXPECT_EQ(result.exit_code(), 1);
}

// A machine that dies after lockdep's report has not died of it.
TEST_F(RunTest, AKnownFindingExcusesNoOtherDeath) {
  options_.targets = {{"lab", "amdgpu"}};
  const RunResult result = go({"--targets", "amdgpu", "--fault=one=known", "--fault=two=die"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::agree);
  EXPECT_EQ(verdict(result.trials[1]), Verdict::lost);
  EXPECT_EQ(result.exit_code(), 1);
}

TEST_F(RunTest, AfterAHealthFindingTheLabIsRestarted) {
  options_.targets = {{"lab", "dmirror"}};
  const RunResult result = go({"--fault=one=health"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::health);
  EXPECT_EQ(verdict(result.trials[1]), Verdict::agree);
  EXPECT_EQ(machines_, 2);
}

// A scenario was checked for the class that its claims are about. With the class of the target a thread may wait for ever.
TEST_F(RunTest, WhatWaitsForEverOnThatClassOfDevicesIsSkipped) {
  predictor_ = [](const Program& program, DeviceClass device_class, const std::function<bool(std::uint64_t)>& go_on) {
    Allowed allowed = seven(program, device_class, go_on);
    allowed.outcomes = {Outcome(allowed.schema.size(), "ok")};
    allowed.waiting = {{0, 1}};
    return allowed;
  };
  Scenario waits;
  waits.file = "w.scn";
  waits.text = "scenario w\nprocess P\n  a: 1 page anon rw = 7\n  fork C\n  wait C\nprocess C\n  exit\n";
  waits.program = parse(waits.text, waits.file);
  Journal journal(path());
  const RunResult result = run({waits}, options_, predictor_, journal, events_);
  EXPECT_EQ(verdict(result.trials[0]), Verdict::skipped);
  EXPECT_EQ(reason(result.trials[0]),
            "on a device of this class a statement of it (line 5) may wait for ever: "
            "nothing ends 'C', which stays when its statements have run");
}

TEST_F(RunTest, AnotherRootIsNotRestartedForItsKernel) {
  options_.targets = {{"debian13", "host"}};
  const RunResult result = go({"--fault=one=health"});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::health);
  EXPECT_EQ(machines_, 1);
}

TEST_F(RunTest, AMachineThatDoesNotStartDecidesNothing) {
  options_.targets = {{"lab", "dmirror"}};
  options_.patience.start = std::chrono::seconds(1);
  const RunResult result = go({"--late"});
  EXPECT_EQ(machines_, 3);
  EXPECT_EQ(result.exit_code(), 3);
  EXPECT_EQ(reason(result.trials[1]),
            "the machine did not start: it did not say hello, and nothing else for 1 s: [   12.5] all drivers are well");
}

TEST_F(RunTest, AMachineThatPanicsAsItStartsIsStartedAgain) {
  options_.targets = {{"lab", "dmirror"}};
  options_.machine = [fake = options_.machine](const std::string& place, int number) {
    Machine::Spec spec = fake(place, number);
    if (number == 1) spec.command = {"/bin/sh", "-c", "echo 'Kernel panic: IO-APIC + timer' >\"$0\"; exit 1", "{console}"};
    return spec;
  };
  const RunResult result = go({});
  EXPECT_EQ(result.exit_code(), 0);
  EXPECT_EQ(notes_, (std::vector<std::string>{"lab does not start: its process ended: exit status 1",
                                              "  Kernel panic: IO-APIC + timer", "lab is started again"}));
  ASSERT_EQ(records("machine").size(), 5u);  // start, failed, start, hello, end
  EXPECT_EQ(records("machine")[1]["words"][0], "Kernel panic: IO-APIC + timer");
}

TEST_F(RunTest, ATargetThatIsNotHere) {
  options_.targets = {{"", "host"}, {"", "dmirror"}};
  try {
    go({"--targets", "host"});
    FAIL();
  } catch (const TargetNotHere& error) {
    EXPECT_STREQ(error.what(), "the target dmirror is not here: no /dev/hmm_dmirror0: load test_hmm");
  }
  EXPECT_TRUE(records("slice").empty());
}

// In every place, a crashing driver is a finding. A driver that is not there is none.
TEST_F(RunTest, ADriverThatCrashesWhenItIsAskedForItsDevices) {
  options_.targets = {{"", "opencl:pocl"}, {"debian13", "opencl"}, {"", "host"}};
  const RunResult result = go({"--crashed-opencl=SIGSEGV in clGetDeviceIDs"}, {"one"});
  for (const Trial& trial : {result.trials.at(0), result.trials.at(1)}) {
    EXPECT_EQ(verdict(trial), Verdict::health);
    EXPECT_EQ(reason(trial), "SIGSEGV in clGetDeviceIDs");
  }
  EXPECT_EQ(verdict(result.trials.at(2)), Verdict::agree);
  EXPECT_EQ(result.exit_code(), 1);
  EXPECT_EQ(records("verdict").at(0)["verdict"], "health");
}

TEST_F(RunTest, WhyThereIsNoDeviceIsToldForEachWordOfIt) {
  for (const std::string word : {"opencl", "opencl:pocl", "opencl:pocl/0"}) {
    options_.targets = {{"", word}};
    try {
      go({"--no-opencl=no driver is installed"});
      FAIL();
    } catch (const TargetNotHere& error) {
      EXPECT_EQ(error.what(), "the target " + word + " is not here: no driver is installed");
    }
  }
}

TEST_F(RunTest, ATargetThatIsNotInTheLab) {
  options_.targets = {{"lab", "dmirror"}};
  const RunResult result = go({"--targets", "host"});
  EXPECT_EQ(result.exit_code(), 3);
  EXPECT_EQ(reason(result.trials[0]), "the target is not there: no /dev/hmm_dmirror0: load test_hmm");
}

TEST_F(RunTest, KnownBugsAreKeptAway) {
  options_.targets = {{"", "dmirror"}, {"", "host"}};
  predictor_ = [](const Program& program, DeviceClass device_class, const auto& keep_going) {
    Allowed allowed = seven(program, device_class, keep_going);
    if (program.name == "one") allowed.known_bugs = {"dead-mm-spin"};
    return allowed;
  };
  const RunResult result = go({});
  EXPECT_EQ(verdict(result.trials[0]), Verdict::skipped);
  EXPECT_EQ(reason(result.trials[0]),
            "known bug dead-mm-spin: a device access through an inherited descriptor never returns after the "
            "opener's mm has died");
  EXPECT_EQ(verdict(result.trials[1]), Verdict::agree);
  EXPECT_EQ(verdict(result.trials[2]), Verdict::agree);  // not the host's bug
}

TEST_F(RunTest, ByTimeEveryScenarioHasItsShare) {
  options_.seconds = 1.5;
  const RunResult result = go({}, {"one", "two", "three"});
  EXPECT_EQ(result.exit_code(), 0);
  for (const Trial& trial : result.trials) {
    EXPECT_GT(trial.iterations, 100u);
    EXPECT_GT(trial.seconds, 0.1);
    EXPECT_LT(trial.seconds, 1.2);
  }
  EXPECT_EQ(told_.size(), 3u);
}

TEST_F(RunTest, StopEndsItWithWhatIsKnown) {
  int asked = 0;
  events_.stop = [&] { return ++asked > 30 ? Stop::soon : Stop::none; };
  const RunResult result = go({"--fault=one=endless"});
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(verdict(result.trials[0]), Verdict::agree);
  EXPECT_FALSE(result.trials[1].started);
  EXPECT_EQ(result.exit_code(), 3);
  EXPECT_EQ(records("end").at(0)["interrupted"], true);
}

TEST_F(RunTest, StopNowDoesNotWait) {
  int asked = 0;
  events_.stop = [&] { return ++asked > 40 ? Stop::now : asked > 20 ? Stop::soon : Stop::none; };
  const RunResult result = go({"--fault=one=deaf"});
  EXPECT_TRUE(result.interrupted);
  EXPECT_EQ(verdict(result.trials[0]), Verdict::agree);
}

TEST_F(RunTest, StoppedBeforeAnythingDecidesNothing) {
  events_.stop = [] { return Stop::soon; };
  EXPECT_EQ(go({}).exit_code(), 3);
}

TEST_F(RunTest, CallsOfADriverAreKept) {
  const RunResult result = go({"--fault", "one=calls", "--fault", "two=calls"}, {"one", "two", "three"});
  for (const Trial& trial : {result.trials.at(0), result.trials.at(1)}) {
    ASSERT_EQ(trial.calls.functions.size(), 2u);
    EXPECT_EQ(trial.calls.functions.at(0).calls, 3u);
    EXPECT_EQ(trial.calls.functions.at(1).missed, 2u);
    EXPECT_EQ(verdict(trial), Verdict::agree);
  }
  EXPECT_TRUE(result.trials.at(2).calls.empty());
  EXPECT_EQ(notes_, std::vector<std::string>{"host: not counted: nouveau_range_fault: gone"});
  EXPECT_EQ(records("verdict").at(0)["calls"]["functions"].at(0)["name"], "nouveau_svm_fault");
  EXPECT_FALSE(records("verdict").at(2).contains("calls"));
}

TEST_F(RunTest, WhyNothingIsCountedIsToldOnce) {
  const RunResult result = go({"--fault", "one=uncounted", "--fault", "two=uncounted"});
  EXPECT_EQ(result.exit_code(), 0);
  EXPECT_EQ(notes_, std::vector<std::string>{"host: not counted: faults and invalidations in its driver: there is no tracefs"});
  EXPECT_EQ(records("verdict").at(1)["calls"]["why_none"], "there is no tracefs");
}

TEST_F(RunTest, AFullDiskEndsItAndIsTold) {
  words_ = {};
  Journal journal("/dev/full");
  const std::vector<Scenario> scenarios = {scenario("one")};
  const RunResult result = run(scenarios, options_, predictor_, journal, events_);
  EXPECT_EQ(result.journal_failure, "/dev/full: No space left on device");
  EXPECT_EQ(result.exit_code(), 4);
  EXPECT_EQ(notes_.front(), "journal: /dev/full: No space left on device; the run ends here");
}

}  // namespace
}  // namespace faultline
