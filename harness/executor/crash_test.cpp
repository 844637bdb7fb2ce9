// Who ended a process under test: the driver, the bench, or something outside.
#include "harness/executor/crash.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <thread>

#include "harness/driver_call.h"
#include "harness/executor/access.h"
#include "harness/executor/test_support.h"
#include "harness/language/parser.h"

namespace faultline {
namespace {

volatile std::uintptr_t nowhere = 0x10;
void crash() { *reinterpret_cast<volatile int*>(nowhere) = 0; }

void in_a_thread(const std::function<void()>& work) { std::thread(work).join(); }

void blocked(const std::function<void()>& work) {
  in_a_thread([&] {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    work();
  });
}

// A device that does its loads inside a function of its driver.
class LibraryTarget : public Target {
 public:
  explicit LibraryTarget(std::function<void()> in_load) : in_load(std::move(in_load)) {}
  std::string name() const override { return "library"; }
  std::string unavailable() const override { return {}; }
  Capabilities capabilities() const override {
    Capabilities can;
    can.device_class = device_class;
    can.atomics = true;
    return can;
  }
  std::unique_ptr<DeviceHandle> open(int) override {
    if (open_crashes) in_driver("driver_open", crash);
    return std::make_unique<Handle>(*this);
  }

  std::function<void()> in_load;  // called inside a driver function
  std::function<void()> outside;  // called between driver functions
  DeviceClass device_class = DeviceClass::fatal_faults;
  bool open_crashes = false;
  bool in_own_thread = false;  // the driver does the access in a thread of its own

 private:
  class Handle : public DeviceHandle {
   public:
    explicit Handle(const LibraryTarget& target) : target_(target) {}
    DeviceAccess load(std::uintptr_t address) override {
      if (target_.outside) target_.outside();
      DeviceAccess access;
      const DriverCall in("driver_load");
      if (target_.in_load) target_.in_load();
      const auto read = [&] { access.value = cpu_load(address); };
      if (target_.in_own_thread) in_a_thread(read);
      else read();
      return access;
    }
    DeviceAccess store(std::uintptr_t, std::uint64_t) override { return {}; }
    int ordered(std::span<OrderedAccess> accesses) override { return load(accesses[0].address).error; }

   private:
    const LibraryTarget& target_;
  };
};

constexpr const char* plain =
    "scenario s\ndevice d: fatal-faults\nprocess P\n  a: 1 page anon rw = 3\nthread P.gpu on d\n  r = load a[0]\n";
constexpr const char* ordered =
    "scenario s\ndevice d: fatal-faults\nprocess P\n  a: 1 page anon rw = 3\nthread P.gpu on d\n  r = load a[0] relaxed\n";
constexpr const char* no_page =
    "scenario s\ndevice d: fatal-faults\nprocess P\n  a: 1 page none\nthread P.gpu on d\n  r = load a[0]\n";

Seen run(LibraryTarget target, int iterations = 10, const char* text = plain) {
  RunPlan plan;
  plan.iterations = iterations;
  const Seen seen = run_text(text, target, plan);
  EXPECT_TRUE(children_of(getpid()).empty()) << "a run leaves nothing behind";
  return seen;
}

// The run gives up after three crashes in a row, and reports no error of the bench.
void expect_crashes(const Seen& seen, const Crash& wanted) {
  EXPECT_EQ(seen.errors, std::vector<std::string>{});
  EXPECT_EQ(seen.iterations, 0u);
  ASSERT_EQ(seen.crashes.size(), 3u);
  EXPECT_EQ(seen.crashes[0], wanted);
  EXPECT_EQ(seen.crashes[2].iteration, 2u);
}

// `begin` is what follows the part that all messages share.
void expect_error(const Seen& seen, const std::string& begin, const std::string& end = "") {
  EXPECT_TRUE(seen.crashes.empty());
  ASSERT_FALSE(seen.errors.empty());
  EXPECT_TRUE(seen.errors[0].starts_with("iteration 0: process P was ended by nobody in the scenario: " + begin))
      << seen.errors[0];
  EXPECT_TRUE(seen.errors[0].ends_with(end.empty() ? begin : end)) << seen.errors[0];
}

const std::vector<DriverPlace> at_the_load{{"driver_load", "P.gpu", "at r (line 6)"}};

TEST(Crashes, InAFunctionOfTheDriver) {
  expect_crashes(run(LibraryTarget(crash)), {0, "took SIGSEGV at address 0x10", true, at_the_load});
}

TEST(Crashes, ByAnAbort) { expect_crashes(run(LibraryTarget(abort)), {0, "took SIGABRT", true, at_the_load}); }

TEST(Crashes, ByAnExit) {
  expect_crashes(run(LibraryTarget([] { _exit(3); })), {0, "ended the process with status 3", false, at_the_load});
}

TEST(Crashes, ASignalThatTheDriverHasTakenForItself) {
  const auto with_default = [] {
    signal(SIGSEGV, SIG_DFL);
    crash();
  };
  expect_crashes(run(LibraryTarget(with_default), 10, ordered), {0, "ended the process with SIGSEGV", false, at_the_load});
}

TEST(Crashes, InAThreadOfTheDriver) {
  const Seen seen = run(LibraryTarget([] { in_a_thread(crash); }));
  expect_crashes(seen, {0, "took SIGSEGV at address 0x10 in a thread of its own", false, at_the_load});
}

TEST(Crashes, InAThreadThatBlocksTheSignal) {
  expect_crashes(run(LibraryTarget([] { blocked(crash); }), 10, ordered),
                 {0, "ended the process with SIGSEGV", false, at_the_load});
}

TEST(Crashes, BeforeAnyStatement) {
  LibraryTarget target(nullptr);
  target.open_crashes = true;
  expect_crashes(run(target),
                 {0, "took SIGSEGV at address 0x10", true, {{"driver_open", "P.gpu", "in the set-up of the iteration"}}});
}

// If faults are results of accesses, then only faults in a region of the scenario are.
TEST(Crashes, AreNoResultsOfAnAccess) {
  LibraryTarget target(crash);
  target.device_class = DeviceClass::recoverable;
  expect_crashes(run(target), {0, "took SIGSEGV at address 0x10", true, at_the_load});
  target.in_load = nullptr;
  const Seen seen = run(target, 3, no_page);
  expect_clean(seen, 3);
  EXPECT_EQ(seen.only("P.gpu:r"), "SIGSEGV");
}

TEST(Crashes, AreNoFaultsAtAnAddressOfTheScenario) {
  for (const bool own_thread : {false, true}) {
    LibraryTarget target(nullptr);
    target.in_own_thread = own_thread;
    const Seen seen = run(target, 3, no_page);
    expect_clean(seen, 3);
    EXPECT_EQ(seen.only("P.gpu:r"), "unknown");
  }
}

TEST(Crashes, NowAndThenLeaveTheOtherOutcomes) {
  const auto fifth = [calls = 0]() mutable {
    if (++calls == 5) crash();
  };
  const Seen seen = run(LibraryTarget(fifth), 20);
  EXPECT_EQ(seen.errors, std::vector<std::string>{});
  EXPECT_EQ(seen.iterations, 16u);
  ASSERT_EQ(seen.crashes.size(), 4u);
  EXPECT_EQ(seen.crashes[0].iteration, 4u);
  EXPECT_EQ(seen.crashes[3].iteration, 19u);
}

// Its parent only sees that it ended in an unexpected way.
TEST(Crashes, OfAChildThatIsWaitedFor) {
  LibraryTarget target(crash);
  target.device_class = DeviceClass::recoverable;
  const Seen seen = run(target, 10,
                        "scenario s\ndevice d: recoverable\nprocess P\n  a: 1 page anon rw = 3\n  fork C\n  wait C\n"
                        "process C\n  r = load a[0] via d\n  exit\n");
  expect_crashes(seen, {0, "took SIGSEGV at address 0x10", true, {{"driver_load", "C", "at r (line 8)"}}});
}

TEST(NoCrashes, OfTheBenchItself) {
  LibraryTarget target(nullptr);
  target.outside = crash;
  expect_error(run(target), "the bench itself took SIGSEGV at address 0x10 in P.gpu at r (line 6)");
  target.outside = [] { _exit(5); };
  expect_error(run(target), "it ended with status 5");
}

TEST(NoCrashes, OfAProcessThatSomebodyKills) {
  const std::string by_hand = "SIGKILL, which a person or a program outside has sent";
  expect_error(run(LibraryTarget([] { kill(getpid(), SIGKILL); })), by_hand);
  expect_error(run(LibraryTarget([] { kill(getpid(), SIGTERM); })), "SIGTERM, which a person or a program outside has sent");
  const auto by_another = [] {
    const pid_t other = fork();
    if (other == 0) {
      kill(getppid(), SIGSEGV);
      _exit(0);
    }
    for (;;) pause();
  };
  expect_error(run(LibraryTarget(by_another)), "SIGSEGV, sent by process ", " (executor_test)");
}

TEST(NoCrashes, ForWantOfMemory) {
  const Program program = parse(plain, "t");
  const Layout layout(program);
  const SharedArea area;
  const Death death = death_unannounced(program, layout, *area, 0, {Ending::Kind::signal, SIGKILL}, true);
  EXPECT_FALSE(death.crash);
  EXPECT_NE(death.error.find("SIGKILL, and the kernel has killed for want of memory"), std::string::npos) << death.error;
}

}  // namespace
}  // namespace faultline
