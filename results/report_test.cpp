// The exact words of reports.
#include "results/report.h"

#include <gtest/gtest.h>

#include "harness/language/parser.h"
#include "harness/run/known_bugs.h"
#include "results/progress.h"

namespace faultline {
namespace {

constexpr const char* text = R"(scenario order
  "A child's loads."
process P
  a: 2 pages anon rw = 0
  fork C
process C
  r0 = load a[1]
  r1 = load a[0]
never C:r0 = zero and C:r1 = 0
sometimes C:r0 = 0
)";

Trial trial() {
  Trial result;
  result.file = "my scenarios/order.scn";
  result.target = "lab:dmirror";
  result.kernel = "6.1.158 #1 SMP";
  result.program = parse(text, "order.scn");
  result.allowed.schema = schema(result.program);
  result.allowed.outcomes = {{"ok", "0", "0"}, {"ok", "0", "zero"}, {"ok", "zero", "zero"}};
  result.allowed.complete = true;
  result.allowed.states = 12;
  result.allowed.executions = 3;
  result.seed = 42;
  result.started = true;
  return result;
}

Trial agreeing() {
  Trial result = trial();
  result.seen[{"ok", "0", "0"}] = {12, 42, 3, 9, {0, -1}, 17};
  result.seen[{"ok", "zero", "zero"}] = {988, 42, 0, 9, {0, -1}, 17};
  result.iterations = 1000;
  result.seconds = 0.518;
  return result;
}

TEST(TrialText, Agree) {
  EXPECT_EQ(trial_text(agreeing(), {}),
            "Test order on lab:dmirror\n"
            "Histogram (2 outcomes)\n"
            "   988  :> C:r0=zero C:r1=zero\n"
            "    12  :> C:r0=0 C:r1=0\n"
            "Allowed outcomes seen: 2 of 3\n"
            "Observation order Never 0 1000\n"
            "  never C:r0 = zero and C:r1 = 0\n"
            "Observation order Sometimes 12 988\n"
            "  sometimes C:r0 = 0\n"
            "Time order 0.52\n"
            "Verdict order agree (lab:dmirror, Linux 6.1.158, 1000 iterations, seed 42)\n");
}

TEST(PredictionText, WhatOnlySomeDevicesDoAtOnce) {
  Trial t = agreeing();
  t.allowed.at_once = {{0, false, "A and B"}};
  EXPECT_NE(prediction_text(t.program, DeviceClass::fatal_faults, t.allowed, {}, false)
                .find("At once, for devices with concurrent access to USM: A and B\n"),
            std::string::npos);
}

TEST(TrialText, WhatATargetCouldNotTell) {
  Trial t = agreeing();
  t.program.observes = {{Observe::Kind::events, 0, {0, 0}, 0, {}, {}}};
  t.allowed.schema = schema(t.program);
  t.allowed.outcomes = {{"ok", "0", "0", "none"}};
  t.seen.clear();
  t.seen[{"ok", "0", "0", "gap (events were dropped)"}].count = 3;
  EXPECT_NE(trial_text(t, {}).find("seen: 0 of 1\nNo claim order 3: events(P:a[0]) gap (events were dropped)\nObservation"),
            std::string::npos)
      << trial_text(t, {});
}

TEST(TrialText, TimesOfADevicesCommands) {
  Trial timed = agreeing();
  for (int i = 0; i < 3; ++i) timed.times.note(0, 1'000, 2'000, 2'001);
  timed.times.note(0, 1'000, 11'000, 51'000);
  EXPECT_NE(trial_text(timed, {}).find("Commands order 4: waited 1.0 us (longest 10.0), ran 0.0 us (longest 40.0)\nTime order"),
            std::string::npos)
      << trial_text(timed, {});
  timed.times.note(5, 4, 6, 7);
  EXPECT_NE(trial_text(timed, {}).find("  Out of order, the driver says (queued, submitted, started, ended): 1\n"),
            std::string::npos)
      << trial_text(timed, {});
}

TEST(TrialText, CallsOfADriver) {
  Trial t = agreeing();
  EXPECT_EQ(trial_text(t, {}).find("Driver"), std::string::npos);
  t.calls.why_none = "there is no tracefs";  // printed once in a run, not in each trial
  EXPECT_EQ(trial_text(t, {}).find("Driver"), std::string::npos);
  t.calls = {
      {{"nouveau_svm_fault", "fault buffers read", 3, 0}, {"nouveau_dmem_migrate_vma", "migrations to VRAM", 0, 2}}, {}, {}};
  EXPECT_NE(trial_text(t, {}).find("Driver order: fault buffers read 3, migrations to VRAM 0 and 2 more\nTime"),
            std::string::npos)
      << trial_text(t, {});
  ReportStyle style;
  style.verbose = true;
  EXPECT_NE(trial_text(t, style).find("read 3 (nouveau_svm_fault), "), std::string::npos) << trial_text(t, style);
}

TEST(DriverCalls, SlicesAddUp) {
  DriverCalls calls{{{"one", "firsts", 3, 1}}, {"two: gone"}, {}};
  calls.add({{{"two", "seconds", 4, 0}, {"one", "firsts", 5, 2}}, {}, {}});
  EXPECT_EQ(calls, (DriverCalls{{{"one", "firsts", 8, 3}, {"two", "seconds", 4, 0}}, {}, {}}));
  calls.add({{}, {}, "no tracefs"});
  EXPECT_EQ(calls.why_none, "no tracefs");
  EXPECT_EQ(lacks(calls), std::vector<std::string>{"faults and invalidations in its driver: no tracefs"});
}

TEST(TrialText, VerboseTellsWhatTheScenarioIs) {
  ReportStyle style;
  style.verbose = true;
  EXPECT_EQ(trial_text(agreeing(), style).substr(0, 113),
            "Test order on lab:dmirror\n"
            "  A child's loads.\n"
            "Histogram (2 outcomes)\n"
            "   988  :> P:#1=ok C:r0=zero C:r1=zero\n"
            "    12");
}

TEST(TrialText, Unseen) {
  ReportStyle style;
  style.unseen = true;
  Trial trial = agreeing();
  EXPECT_NE(trial_text(trial, style).find("Allowed outcomes seen: 2 of 3\n  unseen  P:#1=ok C:r0=0 C:r1=zero\nObservation"),
            std::string::npos)
      << trial_text(trial, style);
  trial.seen[{"ok", "0", "zero"}] = {1, 42, 0, 9, {0, -1}, 17};
  EXPECT_EQ(trial_text(trial, style).find("unseen"), std::string::npos);
}

TEST(TrialText, Forbidden) {
  Trial bad = agreeing();
  bad.seen[{"ok", "zero", "0"}] = {2, 43, 5011, 9, {0, -1}, 17};
  bad.iterations = 1002;
  ReportStyle style;
  style.journal = "results/runs/x/journal.jsonl";
  style.options = [](const std::string& target) {
    return target == "lab:dmirror" ? std::vector<std::string>{"--lab-append", "faultline_mutant=3 quiet"}
                                   : std::vector<std::string>{};
  };
  for (auto& [outcome, tally] : bad.seen)
    if (tally.count == 2) tally.disturbed = {"P.x stalls for 1.2 ms before #1"};
  EXPECT_EQ(trial_text(bad, style),
            "Test order on lab:dmirror\n"
            "Histogram (3 outcomes)\n"
            "     2  *> C:r0=zero C:r1=0\n"
            "   988  :> C:r0=zero C:r1=zero\n"
            "    12  :> C:r0=0 C:r1=0\n"
            "Allowed outcomes seen: 2 of 3\n"
            "Observation order Sometimes 2 1000\n"
            "  never C:r0 = zero and C:r1 = 0\n"
            "Observation order Sometimes 12 990\n"
            "  sometimes C:r0 = 0\n"
            "Forbidden outcome: seen 2 times, first in iteration 5011\n"
            "  P:#1=ok C:r0=zero C:r1=0\n"
            "Nearest allowed outcome: differs in 1 of 3 observables\n"
            "  C:r0  seen zero, allowed 0\n"
            "Parameters: seed 43, batch seed 9, CPUs 0 free\n"
            "Disturbed: P.x stalls for 1.2 ms before #1\n"
            "Target: lab:dmirror, Linux 6.1.158 #1 SMP\n"
            "Again: faultline run -t lab:dmirror --seed 43 --iterations 5012 --lab-append 'faultline_mutant=3 quiet' "
            "--replay results/runs/x/journal.jsonl:17 'my scenarios/order.scn'\n"
            "Time order 0.52\n"
            "Verdict order forbidden (lab:dmirror, Linux 6.1.158, 1002 iterations, seed 42): 1 outcome is not allowed\n");
}

TEST(TrialText, AFindingShowsWhatTheGpuDid) {
  Trial bad = agreeing();
  bad.hang = "iteration 3 hangs";
  bad.gpu = {"1.000 copy", "2.000 fault\x1b"};
  bad.gpu_log = "runs/x.gpu";
  EXPECT_NE(
      trial_text(bad, {}).find("The GPU in software, until about then (runs/x.gpu):\n  | 1.000 copy\n  | 2.000 fault?\nAgain: "),
      std::string::npos)
      << trial_text(bad, {});
  EXPECT_EQ(trial_text(agreeing(), {}).find("GPU"), std::string::npos);
}

TEST(TrialText, ADriverThatDrivesNothing) {
  Trial none = agreeing();
  none.undecided = "the target is not there";
  none.words = {"amdgpu: probe failed"};
  EXPECT_NE(trial_text(none, {}).find("The driver's words in the kernel log:\n  | amdgpu: probe failed\n"), std::string::npos)
      << trial_text(none, {});
}

TEST(TrialText, ManyOutcomesAreCutShort) {
  ReportStyle style;
  style.histogram_lines = 1;
  EXPECT_NE(trial_text(agreeing(), style).find("   988  :> C:r0=zero C:r1=zero\n    12  :> 1 more outcome\n"), std::string::npos);
}

TEST(TrialText, ACrashOfTheDriverIsToldWithTheDriver) {
  Trial crashed = agreeing();
  crashed.device = "PoCL, driver 3.1";
  crashed.crash = "iteration 3 (seed 42): the driver took SIGSEGV";
  crashed.crashes = 2;
  EXPECT_NE(trial_text(crashed, {})
                .find("Crash: iteration 3 (seed 42): the driver took SIGSEGV; 2 times in all\n"
                      "Target: lab:dmirror, Linux 6.1.158 #1 SMP, PoCL, driver 3.1\n"
                      "Again: faultline run -t lab:dmirror --seed 42"),
            std::string::npos)
      << trial_text(crashed, {});
}

TEST(TrialText, SlowIterationsAreToldAndNotCounted) {
  Trial slow = agreeing();
  slow.slow = 2;
  EXPECT_NE(trial_text(slow, {}).find("Slow: 2 iterations past the deadline on a machine too slow to tell a hang; not "
                                      "counted\nTime order 0.52\nVerdict order agree"),
            std::string::npos);
}

TEST(TrialText, WhyThatIsToldToo) {
  Trial slow = agreeing();
  slow.slow = 1;
  slow.slow_why = "the host took 40 % of the CPU time";
  EXPECT_NE(trial_text(slow, {}).find("; not counted (the last: the host took 40 % of the CPU time)\n"), std::string::npos);
}

TEST(TrialText, AHangHasItsBlock) {
  Trial hang = trial();
  hang.hang = "iteration 3 (seed 42) hangs";
  hang.threads = {"it was to end in 5 s, and then ...", "process P (pid 90)", "  P (tid 90): #1, state D, 0.00 s of CPU"};
  EXPECT_EQ(trial_text(hang, {}),
            "Test order on lab:dmirror\n"
            "Hang: iteration 3 (seed 42) hangs\n"
            "  | it was to end in 5 s, and then ...\n"
            "  | process P (pid 90)\n"
            "  |   P (tid 90): #1, state D, 0.00 s of CPU\n"
            "Again: faultline run -t lab:dmirror --seed 42 --iterations 1000 'my scenarios/order.scn'\n"
            "Verdict order hang (lab:dmirror, Linux 6.1.158): iteration 3 (seed 42) hangs\n");
  hang.threads.clear();
  EXPECT_NE(trial_text(hang, {}).find("Hang: iteration 3 (seed 42) hangs\nAgain: "), std::string::npos) << "of an older agent";
}

TEST(TrialText, AHangThatIsNotCertainHasItToo) {
  Trial once = agreeing();
  once.undecided = "iteration 3 (seed 42) hung, seen once: it did not come back";
  once.threads = {"process P (pid 90)"};
  const std::string text = trial_text(once, {});
  EXPECT_NE(text.find("Hang: iteration 3 (seed 42) hung, seen once: it did not come back\n  | process P (pid 90)\nAgain: "),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("Verdict order inconclusive"), std::string::npos);
}

TEST(TrialText, Skipped) {
  Trial skipped = trial();
  skipped.skipped = "no migration between device and system memory";
  EXPECT_EQ(trial_text(skipped, {}),
            "Test order on lab:dmirror\n"
            "Verdict order skipped (lab:dmirror, Linux 6.1.158): no migration between device and system memory\n");
}

TEST(TrialText, LostWithLastWords) {
  Trial lost = trial();
  lost.lost = "its process ended: exit status 1";
  lost.words = {"BUG: bad \x1b[2J", "end"};
  lost.health = {"BUG: bad"};
  lost.machines_lost = 2;
  EXPECT_EQ(trial_text(lost, {}),
            "Test order on lab:dmirror\n"
            "Kernel log:\n"
            "  | BUG: bad\n"
            "Lost: its process ended: exit status 1\n"
            "Last words:\n"
            "  | BUG: bad ?[2J\n"
            "  | end\n"
            "The scenario was tried again on a new machine, which was lost too\n"
            "Again: faultline run -t lab:dmirror --seed 42 --iterations 1000 'my scenarios/order.scn'\n"
            "Verdict order health (lab:dmirror, Linux 6.1.158): BUG: bad\n");
}

TEST(TrialText, KnownFindingsAreToldWithWhereTheyAreExplained) {
  Trial found = agreeing();
  found.known = {"lock-cycle", "reused-page"};
  found.machines_lost = 1;
  const std::string told = trial_text(found, {});
  EXPECT_NE(told.find("No finding: known finding lock-cycle (results/findings/lock-cycle.md): lockdep reports a cycle"),
            told.npos);
  EXPECT_NE(told.find("a CPU fault still held it\nMachines lost: 1; the run went on with a new one\n"), told.npos) << told;
  EXPECT_NE(told.find("Verdict order agree"), told.npos);
  RunResult result;
  result.trials = {found, agreeing()};
  EXPECT_NE(summary_text(result, {}, "", 0).find("\n  no finding   known finding lock-cycle (results/findings/lock-cycle.md): "),
            std::string::npos);
  EXPECT_NE(summary_text(result, {}, "", 0).find("(in 1 trial)\n"), std::string::npos);
}

TEST(TrialText, IncompletePrediction) {
  Trial odd = agreeing();
  odd.allowed.complete = false;
  odd.seen.clear();
  odd.seen[{"ok", "zero", "0"}] = {1000, 42, 0, 9, {}, 0};
  const std::string said = trial_text(odd, {});
  EXPECT_NE(said.find("Allowed outcomes seen: 0 of 3 (prediction incomplete)\n"), std::string::npos);
  EXPECT_NE(said.find("Outcome that the prediction, incomplete after 12 states, lacks: seen 1000 times"), std::string::npos);
  EXPECT_NE(said.find("Verdict order inconclusive ("), std::string::npos);
}

TEST(SummaryText, Table) {
  RunResult result;
  result.trials = {agreeing(), trial(), agreeing()};
  result.trials[1].skipped = "no snapshots of page tables";
  result.trials[2].target = "host";
  result.trials[2].seen[{"ok", "zero", "0"}].count = 1;
  EXPECT_EQ(summary_text(result, {}, "j.jsonl", 1),
            "Summary            agree  forbidden    skipped    iterations\n"
            "  lab:dmirror          1          0          1          1000\n"
            "  host                 0          1          0          1000\n"
            "  forbidden    order on host: 1 outcome is not allowed\n"
            "      Again: faultline run -t host --seed 0 --iterations 1000 'my scenarios/order.scn'\n"
            "  skipped        1 on lab:dmirror: no snapshots of page tables\n"
            "Journal: j.jsonl\n"
            "Exit 1: something was found\n");
}

TEST(SummaryText, InterruptedAndUnkept) {
  RunResult result;
  result.trials = {agreeing(), trial()};
  result.trials[1].started = false;
  result.interrupted = true;
  result.journal_failure = "j.jsonl: No space left on device";
  EXPECT_EQ(summary_text(result, {}, "j.jsonl", result.exit_code()),
            "Summary            agree    iterations\n"
            "  lab:dmirror          1          1000\n"
            "Interrupted: 1 trial did not run\n"
            "The journal could not be written: j.jsonl: No space left on device; what is above was not all kept\n"
            "Exit 4: the bench itself failed\n");
}

TEST(SummaryText, FirstFinding) {
  RunResult result;
  result.trials = {agreeing(), trial()};
  result.trials[0].health = {"WARNING: mm/hmm.c:1"};
  result.trials[1].started = false;
  result.first_finding = Finding{.what = Finding::What::health, .scenario = "order", .target = "lab:dmirror", .seconds = 8.26};
  EXPECT_EQ(summary_text(result, {}, "", 1).find("Stopped"), std::string::npos);
  result.stopped_at_first = true;
  EXPECT_TRUE(summary_text(result, {}, "", 1)
                  .ends_with("\nFirst finding: 8.3 s after the start (health, order on lab:dmirror)\n"
                             "Stopped at the first finding: 1 trial did not run\n"
                             "Exit 1: something was found\n"));
}

TEST(FindingLine, IsFitForATerminal) {
  const Finding finding{.what = Finding::What::hang,
                        .why = "iteration 3\nhangs \x1b[31m",
                        .scenario = "order",
                        .target = "host",
                        .seconds = 12,
                        .iterations = 1};
  EXPECT_EQ(finding_line(finding, "faultline run order.scn"),
            "Found hang: order on host, 12.0 s after the start, in 1 iteration: iteration 3 hangs ?[31m\n"
            "  Again: faultline run order.scn\n");
}

TEST(PredictionText, OutcomesClaimsAndBugs) {
  Trial t = trial();
  t.allowed.known_bugs = {"dead-mm-spin"};
  std::vector<ClaimRow> rows;
  for (const Claim& claim : t.program.claims) rows.push_back({claim, check_claim(claim, t.allowed)});
  EXPECT_EQ(prediction_text(t.program, DeviceClass::recoverable, t.allowed, rows, false),
            "Scenario order (device class recoverable)\n"
            "Allowed outcomes: 3\n"
            "  C:r0=0 C:r1=0\n"
            "  C:r0=0 C:r1=zero\n"
            "  C:r0=zero C:r1=zero\n"
            "States 12, executions 3, 0.00 s, complete\n"
            "Claim holds     never C:r0 = zero and C:r1 = 0\n"
            "Claim holds     sometimes C:r0 = 0\n"
            "Some execution runs into " +
                known_bug_text("dead-mm-spin") + " (" + find_known_bug("dead-mm-spin")->kernels + ")\n");
}

TEST(Refutation, PointsAtTheClaim) {
  Scenario scenario;
  scenario.file = "order.scn";
  scenario.text = text;
  scenario.program = parse(text, "order.scn");
  Allowed allowed = trial().allowed;
  allowed.outcomes.push_back({"ok", "zero", "0"});
  const Claim& claim = scenario.program.claims[0];
  EXPECT_EQ(render(refutation(scenario, claim, allowed, check_claim(claim, allowed))),
            "order.scn:9:1: the reference refutes this claim: an allowed outcome has it\n"
            "    never C:r0 = zero and C:r1 = 0\n"
            "    ^~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\n"
            "  counter-example: P:#1=ok C:r0=zero C:r1=0\n");
}

TEST(ShellWord, Quotes) {
  EXPECT_EQ(shell_word("lab:dmirror"), "lab:dmirror");
  EXPECT_EQ(shell_word("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_word(""), "''");
  EXPECT_EQ(shell_word("a;b"), "'a;b'");
}

TEST(ProgressLine, Words) {
  RunProgress progress;
  progress.status = "this machine: building the kernel";
  EXPECT_EQ(progress_line(progress, 200), "this machine: building the kernel");
  progress = {3, 24, "order", "host", 1200, 5000, 2310.4, 12.0, ""};
  EXPECT_EQ(progress_line(progress, 200), "[3/24] order on host 1200/5000 2310 it/s 12 s left");
  EXPECT_EQ(progress_line(progress, 12), "[3/24] order");
  progress.total = 0;
  progress.seconds_left = 600;
  EXPECT_EQ(progress_line(progress, 200), "[3/24] order on host 1200 2310 it/s 10 min left");
}

}  // namespace
}  // namespace faultline
