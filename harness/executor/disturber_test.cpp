#include "harness/executor/disturber.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "harness/executor/disturbed.h"
#include "harness/executor/process_watch.h"
#include "harness/executor/test_support.h"
#include "harness/language/parser.h"

namespace faultline {
namespace {

using Kind = Disturbance::Kind;

constexpr std::int64_t ms = 1'000'000;

std::int64_t cpu_time_ns(pid_t pid) {
  clockid_t clock;
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0) return -1;
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

constexpr const char* shape = R"(scenario s
process P
  a: 1 page anon rw = 0
thread P.x
  store a[0] 1
  r = load a[0]
thread P.y
  load a[0]
)";

char state_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string line((std::istreambuf_iterator<char>(file)), {});
  const std::size_t end = line.rfind(')');
  return end == line.npos ? '?' : line.at(end + 2);
}

class DisturberTest : public testing::Test {
 protected:
  DisturberTest() {
    cpu_set_t set;
    CPU_ZERO(&set);
    sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    const int life = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
    area->runner_life.store(life);
    area->live.store(1);
  }
  ~DisturberTest() override { close(area->runner_life.load()); }

  void begin(Disturber& disturber, std::vector<Disturbance> disturbances) {
    disturber.prepare(disturbances);
    area->round.bump();
    disturber.begin();
    area->start_ns.store(now_ns());
    area->started.set(area->round.get());
  }

  SharedArea area;
  std::vector<int> cpus;
  const Program program = parse(shape, "t");
  const Layout layout{program};
};

TEST_F(DisturberTest, TakesTheCpuAsLongAsTheIterationGoesOn) {
  Disturber disturber(*area, cpus, layout);
  begin(disturber, {{Kind::preempt, 0, 0, 1 * ms, 100'000 * ms}});
  ASSERT_GT(disturber.pid(), 0);
  while (cpu_time_ns(disturber.pid()) < 20 * ms) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  area->live.store(0);
  while (state_of(disturber.pid()) != 'S') std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const std::int64_t used = cpu_time_ns(disturber.pid());
  area->live.store(1);
  begin(disturber, {{Kind::stall, 0, 0, 0, 5}});
  EXPECT_LT(cpu_time_ns(disturber.pid()), used + 10 * ms) << "nothing to do in this iteration";
  disturber.end();
  EXPECT_TRUE(children_of(getpid()).empty());
}

TEST_F(DisturberTest, StartsOnlyWhenItIsNeeded) {
  Disturber disturber(*area, cpus, layout);
  begin(disturber, {{Kind::stall, 0, 0, 0, 5}, {Kind::signals, 0, 0, 0, 10 * ms}});
  EXPECT_EQ(disturber.pid(), -1);
  EXPECT_EQ(area->disturbances_used.load(), 2);
}

class DisturbedTest : public DisturberTest {
 protected:
  DisturbedTest() { disturber.prepare({}); }
  void disturb(std::vector<Disturbance> disturbances) { disturber.prepare(disturbances); }

  CpuTarget target;
  ProcessContext context{program, layout, target, *area, cpus, false, false, false, false, 0, {}};
  Disturber disturber{*area, cpus, layout};
};

// How long the thread waits before the statement.
std::int64_t wait_ns(const Disturbed& disturbed, int statement) {
  const std::int64_t start = now_ns();
  disturbed.wait_before(statement);
  return now_ns() - start;
}

TEST_F(DisturbedTest, WaitsBeforeItsStatement) {
  for (const Kind kind : {Kind::stall, Kind::nap}) {
    disturb({{kind, 0, 1, 0, 30 * ms}});
    EXPECT_GE(wait_ns(Disturbed(context, 0), 1), 30 * ms);
    // Elsewhere it does not. A busy machine may delay it, but not every time.
    std::int64_t least = INT64_MAX;
    while (least >= 30 * ms) least = std::min({least, wait_ns(Disturbed(context, 0), 0), wait_ns(Disturbed(context, 1), 1)});
  }
}

// A child of the test that has a page at regions_base which reclaim takes away even without swap: MADV_FREE. It ends with 0 if
// the page has become zeroes before `longest_ns` have passed.
pid_t has_free_page(Area& area, std::int64_t longest_ns) {
  const pid_t child = fork();
  if (child != 0) return child;
  void* const page = mmap(reinterpret_cast<void*>(regions_base), page_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (page == MAP_FAILED) _exit(2);
  volatile char* const byte = static_cast<char*>(page);
  *byte = 7;
  if (madvise(page, page_bytes, MADV_FREE) != 0) _exit(3);
  area.processes[0].pid.store(getpid());
  for (const std::int64_t until = now_ns() + longest_ns; *byte != 0;)
    if (now_ns() > until) _exit(1);
  _exit(0);
}

int status_of(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Another process's memory needs CAP_SYS_NICE.
bool may_page_out(pid_t pid) {
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  const bool may = syscall(SYS_process_madvise, process, nullptr, 0, MADV_PAGEOUT, 0) == 0;
  close(process);
  return may;
}

TEST_F(DisturberTest, PagesAreTakenAway) {
  Disturber disturber(*area, cpus, layout);
  // Ten calls at most, so an unlucky page, for which each came too early, has another try.
  int status = 1;
  for (int i = 0; i < 20 && status == 1; ++i) {
    const pid_t child = has_free_page(*area, 2000 * ms);
    while (area->processes[0].pid.load() != child && kill(child, 0) == 0) usleep(1000);
    if (!may_page_out(child)) {
      kill(child, SIGKILL);
      status_of(child);
      GTEST_SKIP() << "this process may not page out another one";
    }
    begin(disturber, {{Kind::reclaim, 0, 0, 10'000, ms}});
    status = status_of(child);
    area->processes[0].pid.store(0);
  }
  EXPECT_EQ(status, 0);
  disturber.end();
  const pid_t undisturbed = has_free_page(*area, 100 * ms);
  EXPECT_EQ(status_of(undisturbed), 1) << "nobody else takes them";
}

bool interrupted(std::int64_t ns) {
  const timespec time{ns / 1'000'000'000, ns % 1'000'000'000};
  return clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr) == EINTR;
}

TEST_F(DisturbedTest, SignalsEndBeforeAThreadStarves) {
  bear_signals();
  disturb({{Kind::signals, 0, 0, 0, 10'000}});
  const Disturbed disturbed(context, 0);
  int signals = 0;
  while (interrupted(50 * ms)) ++signals;
  EXPECT_GT(signals, 0);
  EXPECT_LE(signals, 500);
}

TEST_F(DisturbedTest, SignalsComeUntilTheEndOfTheThread) {
  bear_signals();
  disturb({{Kind::signals, 0, 0, 0, 5 * ms}});
  {
    const Disturbed disturbed(context, 0);
    EXPECT_TRUE(interrupted(60'000 * ms));
    EXPECT_TRUE(interrupted(60'000 * ms)) << "again and again";
  }
  EXPECT_FALSE(interrupted(20 * ms));
  const Disturbed other(context, 1);
  EXPECT_FALSE(interrupted(20 * ms)) << "they are for another thread";
}

RunPlan plan_with(std::vector<Disturbance> disturbances, std::uint64_t iterations) {
  RunPlan plan;
  plan.iterations = iterations;
  plan.deadline_ms = 30'000;
  plan.parameters = Parameters{1, {-1, -1}, {{0, 0}}, {std::move(disturbances)}};
  return plan;
}

TEST(DisturbedRun, ShowsTheSameOutcomes) {
  CpuTarget target;
  for (const Disturbance& each : std::vector<Disturbance>{{Kind::stall, 0, 1, 0, 50'000},
                                                          {Kind::nap, 1, 0, 0, 50'000},
                                                          {Kind::preempt, 0, 0, 20'000, 20'000},
                                                          {Kind::signals, 0, 0, 0, 20'000}}) {
    const Seen seen = run_text(shape, target, plan_with({each}, 50));
    expect_clean(seen, 50);
    EXPECT_EQ(seen.only("P.x:r"), "1") << word(each.kind);
  }
}

TEST(DisturbedRun, AStarvedThreadIsNoHang) {
  CpuTarget target;
  RunPlan plan = plan_with({{Kind::nap, 0, 0, 0, 1'500 * ms}}, 1);
  plan.deadline_ms = 30;
  const Seen seen = run_text(shape, target, plan);
  EXPECT_TRUE(seen.hangs.empty());
  EXPECT_EQ(seen.iterations, 1u);
}

TEST(DisturbedRun, SignalsAreRefusedWhereTheyMayEndARequest) {
  CpuTarget target;
  target.signals = false;
  EXPECT_EQ(run_text(shape, target, plan_with({{Kind::signals, 0, 0, 0, 20'000}}, 5)).errors,
            std::vector<std::string>{"parameters: signals, which end requests to the driver of cpu"});
}

// The reward is what the run saw: with nothing to see, every kind is drawn.
TEST(DisturbedRun, BatchesHaveDisturbancesOfEachKind) {
  CpuTarget target;
  RunPlan plan;
  plan.iterations = 600;
  plan.batch = 60;
  plan.deadline_ms = 30'000;
  const Seen seen = run_text(shape, target, plan);
  expect_clean(seen, 600);
  std::map<Kind, int> kinds;
  for (const Batch& batch : seen.batches) {
    ASSERT_EQ(batch.parameters.disturbances.size(), batch.parameters.offsets.size());
    for (const auto& row : batch.parameters.disturbances)
      for (const Disturbance& each : row) ++kinds[each.kind];
  }
  EXPECT_EQ(kinds.size(), static_cast<std::size_t>(disturbance_kinds - 2)) << "reclaim and move are for the virtual lab";
}

}  // namespace
}  // namespace faultline
