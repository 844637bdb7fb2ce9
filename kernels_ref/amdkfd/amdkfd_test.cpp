// What amdkfd's model predicts beyond what scenarios claim, and what it refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "harness/language/parser.h"
#include "kernels_ref/amdkfd/prediction.h"
#include "kernels_ref/predict.h"

namespace faultline {
namespace {

Program program(const std::string& statements, const std::string& observes, const std::string& more = "") {
  return parse("scenario s\ndevice d: unmap-and-retry\nprocess P\n  a: 3 pages anon rw = 5\nthread P.t\n" + statements +
               more + "observe " + observes + "\n", "s.scn");
}

// Every text that some outcome has for the key.
std::set<std::string> texts(const Program& program, const std::string& key, DeviceClass device_class,
                            std::initializer_list<ref::Rule> dropped = {}) {
  Facets facets{.device_class = device_class};
  for (const ref::Rule rule : dropped) facets.dropped.set(static_cast<int>(rule));
  const Allowed allowed = predict(program, facets);
  EXPECT_TRUE(allowed.complete);
  EXPECT_EQ(allowed.unknown, "");
  EXPECT_EQ(allowed.findings, std::vector<std::string>{});
  std::set<std::string> result;
  for (std::size_t i = 0; i < allowed.schema.size(); ++i)
    for (const Outcome& outcome : allowed.outcomes)
      if (allowed.schema[i].key == key) result.insert(outcome[i]);
  return result;
}

using Texts = std::set<std::string>;
constexpr DeviceClass on = DeviceClass::unmap_and_retry, off = DeviceClass::preempt_and_restore;

TEST(AmdkfdRanges, NoEventsOfTheOtherKind) {
  const Program p = program("  migrate a to d via d\n  mprotect a[0] r\n  store a[1] 6\n  migrate a[1..2] to system via d\n"
                            "  munmap a[2]\n", "events(P:a[0]) events(P:a[1]) events(P:a[2])");
  for (const DeviceClass c : {on, off})
    for (const std::string key : {"events(P:a[0])", "events(P:a[1])", "events(P:a[2])"})
      for (const std::string& text : texts(p, key, c)) {
        EXPECT_EQ(text.find('F'), text.npos) << text;
        const bool removed = key == "events(P:a[2])";
        EXPECT_EQ(text.find_first_of(c == on ? "ER" : removed ? "" : "U"), text.npos) << text;
      }
}

TEST(AmdkfdRanges, RulesShowInTheEvents) {
  using ref::Rule;
  const Program change = program("  migrate a to d via d\n  mprotect a[0] r\n", "events(P:a[0])");
  EXPECT_EQ(texts(change, "events(P:a[0])", on), Texts{"DU"});
  EXPECT_EQ(texts(change, "events(P:a[0])", on, {Rule::kfd_tells_unmaps}), Texts{"D"});
  EXPECT_EQ(texts(change, "events(P:a[0])", on, {Rule::mprotect_notifies}), Texts{"D"});
  EXPECT_EQ(texts(change, "events(P:a[0])", off), Texts{"DER"});
  EXPECT_EQ(texts(change, "events(P:a[0])", off, {Rule::kfd_stops_queues}), Texts{"DR"});
  EXPECT_EQ(texts(change, "events(P:a[0])", off, {Rule::kfd_restores_queues}), Texts{"DE"});
  const Program unmap = program("  migrate a to d via d\n  munmap a[0]\n", "events(P:a[0])");
  EXPECT_EQ(texts(unmap, "events(P:a[0])", off), Texts{"DU"});
  EXPECT_EQ(texts(unmap, "events(P:a[0])", off, {Rule::kfd_unmaps_at_munmap}), Texts{"D"});
  const Program touch = program("  migrate a to d via d\n  load a[0]\n", "events(P:a[1]) where(P:a[1])");
  EXPECT_EQ(texts(touch, "where(P:a[1])", on), Texts{"system"});
  EXPECT_EQ(texts(touch, "where(P:a[1])", on, {Rule::kfd_migrates_range}), Texts{"device"});
}

// A piece that was cut off keeps what the GPU has of it until the deferred work has run: a second munmap() of the same
// pages may be told of once more.
TEST(AmdkfdRanges, AMunmapBeforeTheDeferredWork) {
  const Program p = program("  migrate a to d via d\n  munmap a[0]\n  mmap a[0] anon rw\n  munmap a[0]\n", "events(P:a[0])");
  EXPECT_EQ(texts(p, "events(P:a[0])", on), (Texts{"DU", "DUU"}));
}

// Partly overlapping requests cut ranges, and a fault of the CPU brings back the one that it is in.
TEST(AmdkfdRanges, RequestsCutRanges) {
  const Program p = program("  migrate a to d via d\n  migrate a[1..2] to system via d\n  load a[0]\n",
                            "events(P:a[0]) events(P:a[1]) where(P:a[2])");
  EXPECT_EQ(texts(p, "events(P:a[0])", on), Texts{"DUS"});
  EXPECT_EQ(texts(p, "events(P:a[1])", on), Texts{"DUS"});
  EXPECT_EQ(texts(p, "where(P:a[2])", on), Texts{"system"});
}

TEST(AmdkfdRanges, ErrorsOfARequest) {
  const Program hole = program("  munmap a[1]\n  m0 = migrate a to d via d\n", "events(P:a[0])");
  EXPECT_EQ(texts(hole, "P.t:m0", on), Texts{"EFAULT"});
  EXPECT_EQ(texts(hole, "events(P:a[0])", on), Texts{"none"});
  const Program closed = program("  mprotect a -\n  m0 = migrate a to d via d\n", "events(P:a[0])");
  EXPECT_EQ(texts(closed, "P.t:m0", on), Texts{"EFAULT"});
}

TEST(AmdkfdRanges, WithoutRangesItIsARecoverableDeviceThatTellsNothing) {
  const Program p = program("  store a[0] 6 via d\n  munmap a[1]\n", "events(P:a[0]) events(P:a[1]) P:a[0]");
  EXPECT_EQ(texts(p, "events(P:a[1])", off), Texts{"none"});
  EXPECT_EQ(texts(p, "P:a[0]", off), Texts{"6"});
  const Allowed allowed = predict(p, {.device_class = on});
  EXPECT_EQ(allowed.schema[allowed.schema.size() - 2].weather, Observable::Weather::none);
}

TEST(AmdkfdRanges, WeatherIsSaidWithThePrediction) {
  const Program p = program("  migrate a to d via d\n", "events(P:a[0])");
  EXPECT_EQ(predict(p, {.device_class = on}).schema.back().weather, Observable::Weather::unmaps);
  EXPECT_EQ(predict(p, {.device_class = off}).schema.back().weather, Observable::Weather::stops);
}

TEST(AmdkfdRanges, RefusesWhatItDoesNotKnow) {
  const auto why = [](const std::string& statements, const std::string& more = "") {
    return predict(program("  migrate a to d via d\n" + statements, "P:a[0]", more), {.device_class = on}).unknown;
  };
  const auto beside = [](const std::string& what) { return "migrations by amdkfd are not modelled beside " + what; };
  EXPECT_EQ(why("  munmap a\n  mmap a anon r\n  madvise a dontneed\n  fork C\n", "process C\n  load a[0]\n"), "");
  EXPECT_EQ(why("  mmap a shared rw\n"), beside("pages that are not anonymous"));
  EXPECT_EQ(why("  madvise a collapse\n"), beside("madvise that takes or joins pages"));
  EXPECT_EQ(why("  fork C\n", "process C\n  munmap a\n"), beside("a forked process that changes its mappings"));
  EXPECT_EQ(why("  exit\n"), beside("the end of a process that has ranges"));
  EXPECT_EQ(why("  close d\n"), beside("close: KFD keeps the ranges of a process"));
  EXPECT_EQ(why("  mremap a[0] -> a[1]\n"), beside("mremap: the driver does not find a page in VRAM at its new address"));
  EXPECT_EQ(why("  msync a\n"), beside("a request that its driver does not have, or a file"));
}

// The child's fault brings back what both have; what only the parent has in VRAM is taken to be in system memory then.
TEST(AmdkfdRanges, AForkedProcessCanLoseALocation) {
  const Program p = program("  fork C\n  barrier copied\n  migrate a to d via d\n  barrier there\n", "P:a[0]",
                            "process C\n  store a[1] 6\n  barrier copied\n  barrier there\n  load a[0]\n");
  const Allowed allowed = predict(p, {.device_class = on});
  EXPECT_EQ(allowed.known_bugs, std::vector<std::string>{"lost-location"});
}

}  // namespace
}  // namespace faultline
