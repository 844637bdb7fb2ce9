#include "harness/executor/handles.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace faultline
