// What a process reports about its pages at the end, through a device that knows where they are.
#include <gtest/gtest.h>

#include <atomic>

#include "harness/executor/access.h"
#include "harness/executor/test_support.h"

namespace faultline {
namespace {

// A device with memory of its own. A page is in that memory from a migration to the device until the migration back. The
// location is stored in the page itself, after the cell, so that parent and child agree on it while they share the page.
class MemoryHandle : public DeviceHandle {
 public:
  explicit MemoryHandle(int error) : error_(error) {}
  DeviceAccess load(std::uintptr_t address) override { return {0, cpu_load(address)}; }
  DeviceAccess store(std::uintptr_t address, std::uint64_t value) override {
    cpu_store(address, value);
    return {};
  }
  int migrate(std::uintptr_t address, int pages, bool to_device) override {
    for (int page = 0; page < pages; ++page) mark(address + page * 4096) = to_device;
    return 0;
  }
  int location(std::uintptr_t address, Location& location) override {
    location = mark(address) ? Location::device : Location::system;
    return error_;
  }
  int history(std::uintptr_t address, PageHistory& history) override {
    history = {mark(address) ? "D" : "", gap};
    if (endless) history.events = std::string(100, 'U');
    return error_;
  }
  std::string gap;
  bool endless = false;

 private:
  static std::uint64_t& mark(std::uintptr_t address) { return reinterpret_cast<std::uint64_t*>(address)[1]; }
  const int error_;
};

class MemoryTarget : public Target {
 public:
  std::string name() const override { return "memory"; }
  std::string unavailable() const override { return {}; }
  Capabilities capabilities() const override {
    Capabilities can;
    can.sight.faults = can.sight.identity = false;
    can.sight.location = can.sight.events = tells;
    can.migrate = true;
    return can;
  }
  std::unique_ptr<DeviceHandle> open(int) override {
    auto handle = std::make_unique<MemoryHandle>(error);
    handle->gap = gap;
    handle->endless = endless;
    return handle;
  }

  bool tells = true;
  int error = 0;
  std::string gap;
  bool endless = false;
};

const std::string program = R"(scenario s
device d: shares-cpu-tables
process P
  a: 2 pages anon rw = 5
thread P.t
  migrate a to d via d
  fork C
  barrier there
process C
  migrate a[1] to system via P.d
  store a[0] 6
  barrier there
observe P:a[0] where(P:a[0]) where(P:a[1]) where(C:a[0]) where(C:a[1])
)";

const std::string two_pages = R"(scenario s
device d: unmap-and-retry
process P
  a: 2 pages anon rw = 5
thread P.t
  migrate a[0] to d via d
observe events(P:a[0]) events(P:a[1]) P:a[0]
)";

Seen run(const std::string& text, MemoryTarget target = {}, int iterations = 20) {
  RunPlan plan;
  plan.iterations = static_cast<std::uint64_t>(iterations);
  return run_text(text, target, plan);
}

TEST(Look, EachProcessTellsOfItsOwnPages) {
  const Seen seen = run(program);
  expect_clean(seen, 20);
  EXPECT_EQ(seen.only("P:a[0]"), "5");
  EXPECT_EQ(seen.only("where(P:a[0])"), "device");
  EXPECT_EQ(seen.only("where(P:a[1])"), "device");
  EXPECT_EQ(seen.only("where(C:a[0])"), "device");  // C asks through its inherited descriptor
  EXPECT_EQ(seen.only("where(C:a[1])"), "system");
}

TEST(Look, WithoutADescriptorThereIsNobodyToAsk) {
  const Seen seen =
      run("scenario s\ndevice d: shares-cpu-tables\nprocess P\n  a: 1 page anon rw = 5\nthread P.t\n"
          "  open d\n  close d\nobserve where(P:a[0]) P:a[0]\n");
  expect_clean(seen, 20);
  EXPECT_EQ(seen.only("where(P:a[0])"), "-");
  EXPECT_EQ(seen.only("P:a[0]"), "5");
}

TEST(Look, NothingIsSaidWhereTheTargetCannotTell) {
  MemoryTarget target;
  target.tells = false;
  const Seen seen = run(program, target);
  expect_clean(seen, 20);
  EXPECT_EQ(seen.schema.back().key, "P:a[0]");
  EXPECT_EQ(run(two_pages, target).schema.size(), 2u);
}

TEST(Look, EventsAreThoseOfThePage) {
  const Seen seen = run(two_pages);
  expect_clean(seen, 20);
  EXPECT_EQ(seen.only("events(P:a[0])"), "D");
  EXPECT_EQ(seen.only("events(P:a[1])"), "none");
}

TEST(Look, EventsAreAskedOfTheOpenerOnly) {
  const Seen seen =
      run("scenario s\ndevice d: unmap-and-retry\nprocess P\n  a: 1 page anon rw = 5\nthread P.t\n"
          "  migrate a to d via d\n  fork C\nprocess C\nobserve events(P:a[0]) events(C:a[0])\n");
  expect_clean(seen, 20);
  EXPECT_EQ(seen.only("events(P:a[0])"), "D");
  EXPECT_EQ(seen.only("events(C:a[0])"), "-");
}

TEST(Look, AGapSaysWhyNothingIsClaimed) {
  MemoryTarget target;
  target.gap = "events were dropped";
  Seen seen = run(two_pages, target);
  expect_clean(seen, 20);
  EXPECT_EQ(seen.only("events(P:a[0])"), "gap (events were dropped)");
  EXPECT_EQ(seen.only("P:a[0]"), "5");
  target.gap = "";
  target.endless = true;
  EXPECT_EQ(run(two_pages, target).only("events(P:a[0])"), "gap (more events than there is room for)");
}

TEST(Look, AFailureIsTheBenchs) {
  MemoryTarget target;
  target.error = EIO;
  const Seen seen = run(program, target, 1);
  ASSERT_FALSE(seen.errors.empty());
  EXPECT_NE(seen.errors.front().find("cannot tell where a page is"), std::string::npos) << seen.errors.front();
}

}  // namespace
}  // namespace faultline
