#include "harness/executor/handles.h"

#include <gtest/gtest.h>

#include "harness/executor/test_support.h"
#include "harness/shared.h"

namespace faultline {
namespace {

class CountedHandle : public DeviceHandle {
 public:
  explicit CountedHandle(int& closed) : closed_(closed) {}
  ~CountedHandle() override { ++closed_; }
  DeviceAccess load(std::uintptr_t) override { return {}; }
  DeviceAccess store(std::uintptr_t, std::uint64_t) override { return {}; }
  int migrate(std::uintptr_t, int, bool) override { return 0; }
  int snapshot(std::uintptr_t, std::span<unsigned char>) override { return 0; }
  int pin(std::uintptr_t, int, bool) override { return 0; }
  int unpin(std::uintptr_t, int) override { return 0; }
  int exclusive(std::uintptr_t, int, bool) override { return 0; }

 private:
  int& closed_;
};

TEST(Handles, OneDescriptorOfEachProcess) {
  int closed = 0;
  Handles handles;
  EXPECT_FALSE(Handles::Use(handles, 1, 0));
  EXPECT_FALSE(handles.close(1, 0));
  EXPECT_TRUE(handles.reserve(1, 0));
  EXPECT_FALSE(handles.reserve(1, 0));
  EXPECT_FALSE(Handles::Use(handles, 1, 0)) << "reserved is not open";
  handles.fill(1, 0, std::make_unique<CountedHandle>(closed));
  EXPECT_FALSE(handles.reserve(1, 0));
  EXPECT_TRUE(Handles::Use(handles, 1, 0));
  EXPECT_FALSE(Handles::Use(handles, 2, 0));
  EXPECT_EQ(closed, 0);
  EXPECT_TRUE(handles.close(1, 0));
  EXPECT_EQ(closed, 1);
  EXPECT_FALSE(handles.close(1, 0));
}

TEST(Handles, AFailedOpenGivesThePlaceBack) {
  Handles handles;
  EXPECT_TRUE(handles.reserve(0, 0));
  handles.fill(0, 0, nullptr);
  EXPECT_FALSE(Handles::Use(handles, 0, 0));
  EXPECT_TRUE(handles.reserve(0, 0));
}

TEST(Handles, ACloseWaitsForTheLastUse) {
  int closed = 0;
  Handles handles;
  EXPECT_TRUE(handles.reserve(0, 0));
  handles.fill(0, 0, std::make_unique<CountedHandle>(closed));
  {
    const Handles::Use first(handles, 0, 0);
    {
      const Handles::Use second(handles, 0, 0);
      EXPECT_TRUE(handles.close(0, 0));
      EXPECT_FALSE(Handles::Use(handles, 0, 0)) << "closed for newcomers";
    }
    EXPECT_EQ(closed, 0);
  }
  EXPECT_EQ(closed, 1);
}

TEST(Handles, AChildForgetsUsesOfThreadsThatItLacks) {
  int closed = 0;
  Handles handles;
  for (int opener : {0, 1}) {
    EXPECT_TRUE(handles.reserve(opener, 0));
    handles.fill(opener, 0, std::make_unique<CountedHandle>(closed));
  }
  // Never released, as if the threads that used them existed only in the parent.
  auto* lost = new Handles::Use(handles, 0, 0);
  auto* lost_too = new Handles::Use(handles, 1, 0);
  EXPECT_TRUE(handles.close(1, 0));
  handles.after_fork();
  EXPECT_EQ(closed, 1) << "what was closed but in use is let go";
  EXPECT_TRUE(Handles::Use(handles, 0, 0));
  EXPECT_TRUE(handles.close(0, 0));
  EXPECT_EQ(closed, 2);
  ::operator delete(lost);
  ::operator delete(lost_too);
}

// Counts in memory that the processes under test share.
struct Count {
  std::atomic<int> opened, closed;
};

class KeptHandle : public CountedHandle {
 public:
  KeptHandle(Count& count, bool keeps) : CountedHandle(closed_), count_(count), keeps_(keeps) { ++count_.opened; }
  ~KeptHandle() override { ++count_.closed; }
  bool keep() override { return keeps_; }

 private:
  int closed_ = 0;
  Count& count_;
  const bool keeps_;
};

class KeepingTarget : public CpuTarget {
 public:
  explicit KeepingTarget(bool keeps) : keeps_(keeps) {}
  std::unique_ptr<DeviceHandle> open(int) override { return std::make_unique<KeptHandle>(*count, keeps_); }
  const Shared<Count> count;

 private:
  const bool keeps_;
};

// Runs 3 batches of 10 iterations, and gives how many descriptors were opened.
int opened(const std::string& statements, bool keeps) {
  KeepingTarget target(keeps);
  RunPlan plan;
  plan.iterations = 30;
  plan.batch = 10;
  plan.deadline_ms = 30'000;
  const Seen seen =
      run_text("scenario s\ndevice d: recoverable\nprocess P\n  a: 1 page anon rw = 0\n" + statements, target, plan);
  expect_clean(seen, 30);
  return target.count->opened;
}

TEST(Handles, ABatchKeepsTheDevicesThatCanBeKept) {
  const std::string load = "thread P.gpu on d\n  load a[0]\n";
  EXPECT_EQ(opened(load, true), 3) << "one for each batch";
  EXPECT_EQ(opened(load, false), 30);
}

TEST(Handles, WhatAnIterationClosedIsOpenedForTheNext) {
  EXPECT_EQ(opened("thread P.gpu on d\n  load a[0]\n  close d\n", true), 30);
  EXPECT_EQ(opened("thread P.t\n  open d\n", true), 30) << "not open when the threads start: nothing is kept for them";
}

}  // namespace
}  // namespace faultline
