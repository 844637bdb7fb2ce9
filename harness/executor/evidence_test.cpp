// Decisions on recorded samples (testdata/*.samples) of iterations that were late. The samples were taken from /proc a second
// apart, on two CPUs. "busy" in a name means that 16 busy loops ran beside it.
#include "harness/executor/evidence.h"

#include <fstream>

#include <gtest/gtest.h>

namespace faultline {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t second = 1000 * ms;

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields(1);
  for (const char c : line)
    if (c == '\t') fields.emplace_back();
    else fields.back() += c;
  return fields;
}

// The file has lines of two kinds:
//   "machine", time, the first lines of /proc/stat and of the CPU and I/O pressures, number of I/Os
//   "task", pid, tid, process, thread, statement, whether it waits for others, its stat, schedstat and context switches
std::vector<Sample> recorded(const std::string& name) {
  std::ifstream file("harness/executor/testdata/" + name + ".samples");
  EXPECT_TRUE(file.is_open()) << name;
  std::vector<Sample> samples;
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> fields = fields_of(line);
    if (fields[0] == "machine") {
      MachineSample& machine = samples.emplace_back().machine;
      machine.at_ns = std::stoll(fields[1]);
      read_cpus(fields[2], machine);
      machine.cpu_pressure_us = pressure_in(fields[3]);
      machine.io_pressure_us = pressure_in(fields[4]);
      machine.ios = std::stoull(fields[5]);
      continue;
    }
    TaskSample& task = samples.back().tasks.emplace_back();
    task.pid = std::stoi(fields[1]);
    task.tid = std::stoi(fields[2]);
    task.process = fields[3];
    task.thread = fields[4];
    task.doing = fields[5];
    task.waits = fields[6] == "1";
    EXPECT_TRUE(read_stat(fields[7], task)) << line;
    read_schedstat(fields[8], task);
    std::string status = fields[9];
    for (std::size_t at; (at = status.find("\\n")) != status.npos;) status.replace(at, 2, "\n");
    task.switches = switches_in(status);
  }
  EXPECT_GE(samples.size(), 4u) << name;
  return samples;
}

std::vector<Window> windows(const std::vector<Sample>& samples) {
  std::vector<Window> all;
  for (std::size_t i = 1; i < samples.size(); ++i) all.push_back(between(samples[i - 1], samples[i]));
  return all;
}

constexpr Needs needs{.still = 2 * second, .polls = 2 * second, .cpu = 1 * second};

Evidence evidence_of(const std::vector<Sample>& samples) {
  Evidence evidence;
  for (const Window& window : windows(samples)) evidence.add(window);
  return evidence;
}

using Kind = Evidence::Kind;
using Change = void (*)(Sample&, int number);

std::vector<Sample> changed(const std::string& name, Change change) {
  std::vector<Sample> samples = recorded(name);
  for (std::size_t i = 0; i < samples.size(); ++i) change(samples[i], static_cast<int>(i));
  return samples;
}

TEST(Evidence, ThatItHangs) {
  EXPECT_EQ(evidence_of(recorded("futex")).kind(needs), Kind::still);
  EXPECT_EQ(evidence_of(recorded("futex")).text(needs), "for 3.03 s none of its tasks got CPU time, or waited for a CPU");
  EXPECT_EQ(evidence_of(recorded("stuck")).kind(needs), Kind::still);
  EXPECT_EQ(evidence_of(recorded("spins")).kind(needs), Kind::spins);
  EXPECT_EQ(evidence_of(recorded("polls")).kind(needs), Kind::polls);
}

// A busy machine makes no difference to a task that asks for no CPU time. A task that computes only takes longer. But a task
// may wait for a kernel worker that is itself late on a busy machine, so a second under pressure counts half.
TEST(Evidence, ThatItHangsOnABusyMachine) {
  EXPECT_EQ(evidence_of(recorded("futex-busy")).kind({.still = 1500 * ms, .polls = INT64_MAX, .cpu = second}), Kind::still);
  EXPECT_EQ(evidence_of(recorded("futex-busy")).kind({.still = 3000 * ms, .polls = INT64_MAX, .cpu = second}), Kind::none);
  EXPECT_GT(evidence_of(recorded("futex-busy")).pressure(), 0.9);
  const Evidence spins = evidence_of(recorded("spins-busy"));
  EXPECT_EQ(spins.kind({.still = second, .polls = second, .cpu = 200 * ms}), Kind::spins);
  EXPECT_EQ(spins.kind(needs), Kind::none) << "it needs more, and is not still";
  EXPECT_NE(spins.text(needs).find("for a CPU"), std::string::npos) << spins.text(needs);
}

TEST(Evidence, NoneWhereStatementsEnd) {
  const Evidence slow = evidence_of(recorded("slow"));
  EXPECT_EQ(slow.kind({.still = ms, .polls = ms, .cpu = second}), Kind::none);
  EXPECT_EQ(slow.text(needs).substr(0, 19), "P.gpu has come to s") << slow.text(needs);
}

// The same work beside 16 busy loops: the task asks for a CPU, and most of the time does not get one.
TEST(Evidence, NoneWhereTasksWaitForACpu) {
  const std::vector<Window> all = windows(recorded("slow-busy"));
  for (const Window& window : all) EXPECT_TRUE(!window.moved.empty() || !window.hungry.empty());
  EXPECT_EQ(evidence_of(recorded("slow-busy")).kind({.still = ms, .polls = ms, .cpu = second}), Kind::none);
}

TEST(Evidence, NoneWhereATaskWorksInTheKernel) {
  const Evidence works = evidence_of(recorded("works-in-the-kernel"));
  EXPECT_EQ(works.kind({.still = ms, .polls = ms, .cpu = second}), Kind::none);
  EXPECT_NE(works.text(needs), "");
}

// ---- Each of these tests changes recorded samples so that their evidence is gone.

TEST(Evidence, NoneWhereTheHostTookTheCpu) {
  const Change stolen = [](Sample& sample, int number) { sample.machine.stolen += static_cast<std::uint64_t>(number) * 60; };
  for (const char* name : {"futex", "stuck", "spins", "polls"}) {
    const Evidence evidence = evidence_of(changed(name, stolen));
    EXPECT_EQ(evidence.kind(needs), Kind::none) << name;
    EXPECT_EQ(evidence.text(needs).substr(0, 13), "the host took") << evidence.text(needs);
  }
}

TEST(Evidence, NoneWhereTheBenchItselfWasLate) {
  const Change late = [](Sample& sample, int number) { sample.machine.at_ns += number * 3 * second; };
  for (const char* name : {"futex", "stuck", "spins"})
    EXPECT_EQ(evidence_of(changed(name, late)).kind(needs), Kind::none) << name;
}

TEST(Evidence, NoneWhereTheDisksAreBusyAndATaskCannotBeInterrupted) {
  const Change busy = [](Sample& sample, int number) {
    *sample.machine.io_pressure_us += number * 900'000;
    sample.machine.ios += static_cast<std::uint64_t>(number) * 40;
  };
  EXPECT_EQ(evidence_of(changed("stuck", busy)).text(needs), "disks are busy");
  EXPECT_EQ(evidence_of(changed("futex", busy)).kind(needs), Kind::still) << "which waits for no disk";
  const Change idle = [](Sample& sample, int number) { *sample.machine.io_pressure_us += number * 900'000; };
  EXPECT_EQ(evidence_of(changed("stuck", idle)).kind(needs), Kind::still) << "for I/O that no disk does";
}

// Kernels without CONFIG_SCHED_INFO do not say how long a task waited for a CPU.
TEST(Evidence, NoneWhereATaskIsRunnableAndGetsNothing) {
  const Change waits = [](Sample& sample, int) {
    sample.tasks[0].state = 'R';
    for (TaskSample& task : sample.tasks) task.delay_ns.reset();
  };
  EXPECT_EQ(evidence_of(changed("futex", waits)).text(needs), "P.gpu is runnable and gets no CPU");
}

TEST(Evidence, NoneWhereProcessesCome) {
  const Change comes = [](Sample& sample, int number) {
    sample.tasks.push_back(sample.tasks.back());
    sample.tasks.back().pid = sample.tasks.back().tid = 100'000 + number;
  };
  EXPECT_EQ(evidence_of(changed("futex", comes)).text(needs), "processes have come or gone");
}

// Progress cancels all evidence from before.
TEST(Evidence, BeginsAnewWhenItGetsOn) {
  std::vector<Sample> samples = recorded("futex");
  samples.back().tasks[0].doing = "s1 (line 7)";
  EXPECT_EQ(evidence_of(samples).kind({.still = ms, .polls = ms, .cpu = ms}), Kind::none);
}

// For a task that waits for other threads, CPU time is no progress, and a wait for a CPU is no excuse.
TEST(Evidence, WhoWaitsForOthersDoesNotCount) {
  const Change busy = [](Sample& sample, int number) {
    TaskSample& task = sample.tasks[1];
    EXPECT_TRUE(task.waits);
    task.run_ns += number * 900 * ms;
    task.delay_ns = number * 900 * ms;
    task.state = 'R';
  };
  EXPECT_EQ(evidence_of(changed("futex", busy)).kind(needs), Kind::still);
}

TEST(Needs, FollowTheDeadlineAndWhatIsUsual) {
  const Needs first = needs_of(5000, 0, 100 * ms);
  EXPECT_EQ(first.still, 2500 * ms);
  EXPECT_EQ(first.polls, 20 * second);
  EXPECT_EQ(first.cpu, 10 * second) << "none has ended yet: twice the deadline";
  EXPECT_EQ(needs_of(5000, ms, 100 * ms).cpu, second) << "many times a millisecond is little";
  EXPECT_EQ(needs_of(5000, 200 * ms, 0).cpu, 4 * second);
  EXPECT_EQ(needs_of(1000, ms, 2 * second).cpu, 16 * second) << "a driver that compiles takes its time";
  EXPECT_EQ(needs_of(100, 0, 0).still, 2 * second) << "more than a delay";
}

// ---- The control iteration.

TEST(Control, PassesInAFewTimesWhatIsUsual) {
  using End = Control::End;
  const auto judged = [](std::optional<std::int64_t> plain, std::optional<std::int64_t> device, Kind waited = Kind::none,
                         int error = 0) { return judge_control(plain, 2 * ms, device, 300 * ms, error, waited).end; };
  EXPECT_EQ(judged(3 * ms, 250 * ms), End::passed);
  EXPECT_EQ(judged(900 * ms, 2 * second), End::passed);
  EXPECT_EQ(judged(1100 * ms, 250 * ms), End::slow);
  EXPECT_EQ(judged(std::nullopt, std::nullopt), End::slow);
  EXPECT_EQ(judged(3 * ms, 3 * second), End::slow);
  EXPECT_EQ(judged(3 * ms, std::nullopt), End::slow);
  EXPECT_EQ(judged(3 * ms, std::nullopt, Kind::still), End::stuck) << "the device, not the machine";
  EXPECT_EQ(judged(3 * ms, std::nullopt, Kind::none, 19), End::failed);
  EXPECT_EQ(judge_control(3 * ms, 2 * ms, std::nullopt, 0, 0, Kind::none).end, End::passed) << "no device is opened";
  EXPECT_EQ(judge_control(3 * ms, 2 * ms, std::nullopt, 300 * ms, 0, Kind::still).text,
            "a fresh process that maps a page, stores, forks and loads took 3 ms (usually 2 ms); opening the device "
            "did not end in 2.40 s (usually 300 ms), and it waits without asking for a CPU");
}

// ---- Texts of /proc.

TEST(Samples, AreReadAsTheKernelWritesThem) {
  TaskSample task;
  EXPECT_TRUE(read_stat("91 (a ) b) D 1 1 1 0 -1 4194304 102 0 0 0 7 5 0 0 20 0 1 0 636216", task));
  EXPECT_EQ(task.command, "a ) b");
  EXPECT_EQ(task.state, 'D');
  EXPECT_EQ(task.run_ns, 120 * ms);
  read_schedstat("0 0 0", task);
  EXPECT_EQ(task.run_ns, 120 * ms) << "the kernel does not count";
  EXPECT_FALSE(task.delay_ns);
  read_schedstat("123456 789 3", task);
  EXPECT_EQ(task.run_ns, 123456);
  EXPECT_EQ(task.delay_ns, 789);
  EXPECT_FALSE(read_stat("", task));
  EXPECT_FALSE(read_stat("91 (a) D 1", task));
  EXPECT_EQ(switches_in("Name:\ta\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n"), 15u);
  EXPECT_EQ(pressure_in("some avg10=0.00 avg60=0.00 avg300=0.00 total=77\nfull avg10=0.00 total=0"), 77);
  EXPECT_EQ(pressure_in(""), std::nullopt);
  EXPECT_EQ(ios_in("   8   0 sda 10 0 0 0 5 0 0\n   8   1 sda1 1 0 0 0 1 0 0\n"), 17u);
  MachineSample machine;
  read_cpus("cpu  10 20 30 40 50 60 70 80 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0", machine);
  EXPECT_EQ(machine.ticks, 360u);
  EXPECT_EQ(machine.stolen, 80u);
}

}  // namespace
}  // namespace faultline
