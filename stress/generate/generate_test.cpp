#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <string>

#include "harness/language/parser.h"
#include "harness/language/printer.h"
#include "harness/queries.h"
#include "harness/target.h"
#include "kernels_ref/predict.h"
#include "stress/generate/canonical.h"
#include "stress/generate/draw.h"
#include "stress/generate/enumerate.h"
#include "stress/generate/renumber.h"

namespace faultline {
namespace {

Capabilities host() { return {.device_class = DeviceClass::shares_cpu_tables, .direct = true}; }
Capabilities pinned() { return {.device_class = DeviceClass::pinned, .pin = true, .inherited = false}; }
Capabilities dmirror() {
  Capabilities can{.device_class = DeviceClass::recoverable, .migrate = true, .snapshot = true, .pin = true, .exclusive = true};
  can.direct = true;
  can.sight.location = true;
  return can;
}

void expect_valid(const Program& program, const Capabilities& can) {
  EXPECT_EQ(normal(program), program) << print(program);
  EXPECT_EQ(cannot_run(program, can), "") << print(program);
}

Program parsed(const std::string& text) { return parse(text, "test"); }

const char* const two_threads =
    "scenario x\ndevice d: recoverable\nprocess P\n  a: 1 page anon rw = 5\n  b: 1 page none\n"
    "thread P.one on d\n  r0 = load a[0]\nthread P.two\n  store a[0] 1\n  mremap a -> b\nobserve P:a[0] P:b[0]\n";
const char* const two_threads_otherwise =
    "scenario y\n  \"Other names.\"\ndevice gpu: recoverable\nprocess Q\n  z: 1 page none\n  y: 1 page anon rw = 7\n"
    "thread Q.cpu\n  x9 = store y[0] 2\n  mremap y -> z\nthread Q.gpu on gpu\n  load y[0]\nobserve Q:z[0] Q:y[0]\n";

TEST(Canonical, NamesValuesAndOrderMeanNothing) {
  EXPECT_EQ(canonical(parsed(two_threads)), canonical(parsed(two_threads_otherwise)));
}

TEST(Canonical, WhatThreadsDoMeansSomething) {
  std::string other = two_threads;
  other.replace(other.find("  store a[0] 1\n  mremap a -> b\n"), 31, "  mremap a -> b\n  store a[0] 1\n");
  EXPECT_NE(canonical(parsed(two_threads)), canonical(parsed(other)));
  std::string same_value = two_threads;
  same_value.replace(same_value.find("store a[0] 1"), 12, "store a[0] 5");  // the region's own value
  EXPECT_NE(canonical(parsed(two_threads)), canonical(parsed(same_value)));
}

TEST(Renumber, WhatNamesAPartGoesWithIt) {
  const Program program = parsed(two_threads);
  Numbers numbers = same_numbers(program);
  leave_out(numbers.regions, 1);
  const Program less = renumbered(program, numbers);
  EXPECT_EQ(less.regions.size(), 1u);
  EXPECT_EQ(less.threads[1].statements.size(), 1u);
  EXPECT_EQ(less.observes.size(), 1u);
  EXPECT_TRUE(normal(less).has_value());

  numbers = same_numbers(program);
  leave_out(numbers.devices, 0);
  EXPECT_EQ(renumbered(program, numbers).threads.size(), 1u);
}

TEST(Renumber, ChildrenGoWithTheirParent) {
  const Program program = parsed(
      "scenario x\nprocess P\n  a: 1 page anon rw = 5\nthread P.cpu\n  fork C\n  wait C\nprocess C\n  fork D\n  exit\n"
      "process D\n  load a[0]\nobserve D:a[0] P:a[0]\n");
  Numbers numbers = same_numbers(program);
  leave_out(numbers.processes, 1);
  const Program less = renumbered(program, numbers);
  EXPECT_EQ(less.processes.size(), 1u);
  EXPECT_EQ(less.threads.size(), 1u);
  EXPECT_TRUE(less.threads[0].statements.empty());
  EXPECT_EQ(less.observes.size(), 1u);
}

TEST(Normal, RefusesWhatIsNoScenario) {
  Program program = parsed(two_threads);
  program.threads[0].via.device = 0;
  EXPECT_EQ(normal(program), program);
  program.threads[1].statements.push_back({"", op::Barrier{0}, {}});
  program.barriers.push_back("never");
  program.threads[0].statements.push_back({"", op::Wait{0}, {}});
  EXPECT_EQ(normal(program), std::nullopt);
}

TEST(Enumeration, AllAreValidAndNoTwoAreTheSame) {
  for (const Capabilities& can : {host(), pinned(), dmirror()}) {
    Enumeration all(can);
    std::set<std::string> texts;
    for (int i = 0; i < 1500; ++i) {
      const std::optional<Program> program = all.next();
      ASSERT_TRUE(program.has_value()) << i;
      expect_valid(*program, can);
      EXPECT_TRUE(texts.insert(canonical(*program)).second) << print(*program);
    }
  }
}

TEST(Enumeration, DevicesThatMeetAChangeOfTheirMappingsComeFirst) {
  Enumeration all(dmirror());
  for (int i = 0; i < 40; ++i) {
    const Program program = *all.next();
    EXPECT_TRUE(any_operation(program, is_device_access)) << print(program);
  }
}

// A kind of statement that no generated program has would never be tested by a campaign.
TEST(Draw, EveryOperationIsDrawn) {
  std::mt19937_64 random(1);
  std::map<std::size_t, int> drawn;
  for (int i = 0; i < 3000; ++i) {
    const std::optional<Program> program = draw(random, dmirror(), "random");
    ASSERT_TRUE(program.has_value());
    for (const Thread& thread : program->threads)
      for (const Statement& statement : thread.statements) ++drawn[statement.operation.index()];
  }
  // Delays are the executor's. A fault that waits for user space needs a thread that answers it: those are written scenarios,
  // and stress/conformance draws such pairs. The others belong to the memory model of OpenCL.
  const std::set<std::size_t> not_drawn = {
      Operation(op::Delay{}).index(),        Operation(op::Update{}).index(),         Operation(op::SvmMap{}).index(),
      Operation(op::SvmUnmap{}).index(),     Operation(op::SvmCopy{}).index(),        Operation(op::SvmFill{}).index(),
      Operation(op::UffdRegister{}).index(), Operation(op::UffdUnregister{}).index(), Operation(op::UffdCopy{}).index(),
      Operation(op::UffdZero{}).index(),     Operation(op::UffdProtect{}).index(),    Operation(op::UffdWake{}).index()};
  for (std::size_t kind = 0; kind < std::variant_size_v<Operation>; ++kind)
    EXPECT_EQ(drawn.contains(kind), !not_drawn.contains(kind)) << "operation " << kind << " of program.h";
}

TEST(Draw, AllAreValidAndTheSeedTellsThem) {
  for (const Capabilities& can : {host(), pinned(), dmirror()}) {
    std::mt19937_64 random(7), again(7), other(8);
    int same = 0;
    for (int i = 0; i < 300; ++i) {
      const std::optional<Program> program = draw(random, can, "random");
      ASSERT_TRUE(program.has_value());
      expect_valid(*program, can);
      EXPECT_EQ(program, draw(again, can, "random"));
      same += program == draw(other, can, "random");
    }
    EXPECT_LT(same, 100);
  }
}

TEST(Draw, NothingWithoutADeviceThatReachesMemory) {
  Capabilities can;
  can.system = false;
  std::mt19937_64 random(1);
  const std::optional<Program> program = draw(random, can, "random");
  ASSERT_TRUE(program.has_value());
  EXPECT_TRUE(program->devices.empty());
}

// Most of them must be programs about which the reference says something, with few states. What goes wrong in the reference goes
// wrong only where a driver has a known bug, or a program is too large for its tables.
TEST(Draw, TheReferenceKnowsMostOfThem) {
  for (const Capabilities& can : {host(), pinned(), dmirror()}) {
    std::mt19937_64 random(3);
    Enumeration all(can);
    for (const bool drawn : {false, true}) {
      int known = 0, races = 0;
      std::map<std::string, int> others;
      for (int i = 0; i < 100; ++i) {
        const Program program = drawn ? *draw(random, can, "random") : *all.next();
        const Allowed allowed = predict(program, {.device_class = can.device_class}, {.states = 20'000, .workers = 1});
        if (!allowed.complete) ++others["too large"];
        else if (!allowed.known_bugs.empty()) ++others[allowed.known_bugs.front()];
        else if (!allowed.findings.empty()) ++others[allowed.findings.front()];
        else if (!(allowed.undefined + allowed.unknown).empty()) ++others[allowed.undefined + allowed.unknown];
        else if (!allowed.waiting.empty()) ++others["waits for ever"];
        else ++known, races += allowed.outcomes.size() > 1;
      }
      std::string reasons = std::to_string(known) + " known";
      for (const auto& [reason, count] : others) reasons += ", " + reason + ": " + std::to_string(count);
      EXPECT_GT(known, 50) << reasons;
      EXPECT_GT(races, 30) << reasons;
      EXPECT_FALSE(others.contains("a device entry differs from the CPU's outside an invalidation")) << reasons;
      EXPECT_FALSE(others.contains("waits for ever")) << reasons;
    }
  }
}

}  // namespace
}  // namespace faultline
