// Storms on devices that are the CPU, healthy and with planted flaws. No test passes or fails on time: a storm goes on until it
// has found what it must, or for long enough to have found it many times.
#include "stress/storms/storm.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <map>

#include "drm_glue/host.h"
#include "harness/executor/access.h"
#include "harness/executor/process_watch.h"

namespace faultline::storms {
namespace {

struct Told : Listener {
  void news(const StormNews& news) override {
    rounds.push_back(news);
    wrong.insert(wrong.end(), news.wrong.begin(), news.wrong.end());
    for (const StormRow& row : news.rows) {
      ++calls[row.call];
      if (row.call == "close of the device" && row.queue > 2) late.add(row.durations);
    }
    if (until_late && late.longest_ns > 0) works = enough;
    for (const auto& [name, count] : news.counts) counts[name] += count;
    works += !news.idle;
  }
  void hang(const Hang& hang) override { hangs.push_back(hang); }
  void error(const std::string& message) override { errors.push_back(message); }
  void alive() override {}
  bool stop_requested() override { return works >= enough || !wrong.empty() || !hangs.empty(); }

  std::vector<StormNews> rounds;
  std::vector<std::string> wrong, errors;
  std::vector<Hang> hangs;
  std::map<std::string, int> calls;
  std::map<std::string, std::uint64_t> counts;
  Durations late;  // closes of the device with four accesses outstanding or more
  bool until_late = false;
  int works = 0, enough = 3;
};

Told storm(StormKind kind, Target& target, int enough, int deadline_ms = 20'000) {
  Told told;
  told.enough = enough;
  run_storm({kind, 12, 7, 300'000, deadline_ms}, target, told);
  EXPECT_TRUE(children_of(getpid()).empty());
  return told;
}

void expect_nothing_found(const Told& told) {
  EXPECT_EQ(told.wrong, std::vector<std::string>());
  EXPECT_EQ(told.errors, std::vector<std::string>());
  for (const Hang& hang : told.hangs) EXPECT_TRUE(hang.slow) << hang.why.front();
  EXPECT_GT(told.counts.at("exact checks"), 0u);
}

// A device that is the CPU, with a flaw.
class Flawed : public HostTarget {
 public:
  enum class Flaw { loses_stores, keeps_old_pages, never_answers, fails };
  explicit Flawed(Flaw flaw) : flaw_(flaw) {}
  std::unique_ptr<DeviceHandle> open(int) override { return std::make_unique<Handle>(flaw_); }

 private:
  class Handle : public DeviceHandle {
   public:
    explicit Handle(Flaw flaw) : flaw_(flaw) {}
    DeviceAccess load(std::uintptr_t address) override {
      if (flaw_ == Flaw::never_answers) wait_for_ever();
      if (flaw_ == Flaw::fails && next() % 64 == 0) return {EIO, 0, false};
      // As a device that is not told of munmap() and mprotect().
      if (flaw_ == Flaw::keeps_old_pages && next() % 2 == 0) return {0, 0, false};
      return {0, cpu_load(address), false};
    }
    DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
      if (flaw_ == Flaw::never_answers) wait_for_ever();
      if (flaw_ == Flaw::loses_stores && next() % 64 == 0) return {};
      cpu_store(address, value);
      return {};
    }

   private:
    unsigned next() { return accesses_.fetch_add(1); }
    static void wait_for_ever() {
      for (;;) pause();
    }
    const Flaw flaw_;
    std::atomic<unsigned> accesses_{1};
  };
  const Flaw flaw_;
};

TEST(Storm, OfFaultsFindsNothingOnThisMachine) {
  HostTarget host;
  const Told told = storm(StormKind::fault, host, 4);
  expect_nothing_found(told);
  for (const char* call : {"munmap", "mprotect", "fork", "MADV_DONTNEED"}) EXPECT_TRUE(told.calls.contains(call)) << call;
}

TEST(Storm, OfForksFindsNothingOnThisMachine) {
  HostTarget host;
  const Told told = storm(StormKind::fork, host, 6);
  expect_nothing_found(told);
  EXPECT_TRUE(told.calls.contains("fork"));
}

TEST(Storm, OfTeardownsFindsNothingOnThisMachine) {
  HostTarget host;
  const Told told = storm(StormKind::teardown, host, 12);
  expect_nothing_found(told);
  for (const char* call : {"exit", "SIGKILL", "exec"}) EXPECT_TRUE(told.calls.contains(call)) << call;
}

TEST(Storm, HasAnIdleRoundAfterEachOfWork) {
  HostTarget host;
  const Told told = storm(StormKind::teardown, host, 3);
  ASSERT_GE(told.rounds.size(), 4u);
  for (std::size_t i = 0; i < told.rounds.size(); ++i) EXPECT_EQ(told.rounds[i].idle, i % 2 == 0);
  for (const StormNews& round : told.rounds) EXPECT_TRUE(round.levels.contains("memory KiB"));
}

TEST(Storm, FindsLostStores) {
  Flawed device(Flawed::Flaw::loses_stores);
  for (const StormKind kind : {StormKind::fault, StormKind::fork}) EXPECT_FALSE(storm(kind, device, 200).wrong.empty());
}

TEST(Storm, FindsAccessesThatTheMappingForbids) {
  Flawed device(Flawed::Flaw::keeps_old_pages);
  EXPECT_FALSE(storm(StormKind::fault, device, 200).wrong.empty());
}

TEST(Storm, FindsFailuresOfWhatTheMappingAllows) {
  Flawed device(Flawed::Flaw::fails);
  for (const StormKind kind : {StormKind::fault, StormKind::fork}) EXPECT_FALSE(storm(kind, device, 200).wrong.empty());
}

TEST(Storm, TellsAHangWithItsThreads) {
  Flawed device(Flawed::Flaw::never_answers);
  const Told told = storm(StormKind::fork, device, 200, 300);
  ASSERT_FALSE(told.hangs.empty());
  EXPECT_FALSE(told.hangs.front().threads.empty());
  EXPECT_FALSE(told.hangs.front().stuck);
  EXPECT_NE(told.hangs.front().why.front().find("to end with all its children"), std::string::npos);
}

// A device with a descriptor, whose accesses take 20 ms and end after it has been closed.
class Slow : public HostTarget {
 public:
  std::unique_ptr<DeviceHandle> open(int) override { return std::make_unique<Handle>(); }

 private:
  struct Handle : DeviceHandle {
    DeviceAccess load(std::uintptr_t address) override {
      usleep(20'000);
      return fcntl(fd, F_GETFD) < 0 ? DeviceAccess{EBADF, 0, false} : DeviceAccess{0, cpu_load(address), false};
    }
    DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
      usleep(20'000);
      if (fcntl(fd, F_GETFD) < 0) return {EBADF, 0, false};
      cpu_store(address, value);
      return {};
    }
    const int fd = eventfd(0, EFD_CLOEXEC);
  };
};

TEST(Storm, MeasuresALateTeardown) {
  Slow slow;
  Told told;
  told.enough = 200;
  told.until_late = true;
  run_storm({StormKind::teardown, 12, 7, 300'000, 20'000}, slow, told);
  expect_nothing_found(told);
  EXPECT_GT(told.late.longest_ns, 1'000'000u);  // the last of the accesses has a millisecond to go
}

TEST(Storm, SaysThatADeviceCannotBeOpened) {
  struct Closed : HostTarget {
    std::unique_ptr<DeviceHandle> open(int) override { return nullptr; }
  } closed;
  for (const StormKind kind : {StormKind::fault, StormKind::fork})
    EXPECT_EQ(storm(kind, closed, 3).errors, std::vector<std::string>{"a process cannot open the device, or map memory"});
}

}  // namespace
}  // namespace faultline::storms
