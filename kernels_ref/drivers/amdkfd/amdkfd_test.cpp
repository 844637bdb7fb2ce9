// What amdkfd's model predicts beyond what scenarios claim, and what it refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "harness/language/parser.h"
#include "kernels_ref/drivers/amdkfd/prediction.h"
#include "kernels_ref/predict.h"

namespace faultline {
namespace {

Program program(const std::string& statements, const std::string& observes, const std::string& more = "") {
  return parse("scenario s\ndevice d: unmap-and-retry\nprocess P\n  a: 3 pages anon rw = 5\nthread P.t\n" + statements + more +
                   "observe " + observes + "\n",
               "s.scn");
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
constexpr DeviceClass on = DeviceClass::unmap_and_retry, off = DeviceClass::preempt_and_restore,
                      faults = DeviceClass::fault_and_migrate, queues = DeviceClass::map_and_restore;

TEST(AmdkfdRanges, NoEventsOfTheOtherKind) {
  const Program p = program(
      "  migrate a to d via d\n  mprotect a[0] r\n  store a[1] 6\n  migrate a[1..2] to system via d\n"
      "  munmap a[2]\n",
      "events(P:a[0]) events(P:a[1]) events(P:a[2])");
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

// A piece that was cut off counts as mapped by the GPU until the deferred work has run. So a second munmap() of the same
// pages may be reported once more.
TEST(AmdkfdRanges, AMunmapBeforeTheDeferredWork) {
  const Program p = program("  migrate a to d via d\n  munmap a[0]\n  mmap a[0] anon rw\n  munmap a[0]\n", "events(P:a[0])");
  EXPECT_EQ(texts(p, "events(P:a[0])", on), (Texts{"DU", "DUU"}));
}

// Partly overlapping requests cut ranges. A fault of the CPU brings back only its own range.
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

TEST(AmdkfdFaults, RulesShowInTheEvents) {
  using ref::Rule;
  const Program p = program("  load a[1] via d\n  load a[0] via d\n", "events(P:a[0]) events(P:a[1]) where(P:a[0])");
  EXPECT_EQ(texts(p, "events(P:a[0])", faults), Texts{"D"});
  EXPECT_EQ(texts(p, "events(P:a[1])", faults), Texts{"DF"});
  EXPECT_EQ(texts(p, "events(P:a[1])", faults, {Rule::kfd_tells_faults}), Texts{"D"});
  EXPECT_EQ(texts(p, "events(P:a[0])", faults, {Rule::kfd_fault_takes_vma}), Texts{"DF"});
  EXPECT_EQ(texts(p, "events(P:a[0])", faults, {Rule::kfd_fault_maps_range}), Texts{"DF"});
  EXPECT_EQ(texts(p, "events(P:a[1])", faults, {Rule::kfd_fault_migrates}), Texts{"F"});
  EXPECT_EQ(texts(p, "where(P:a[0])", faults, {Rule::kfd_fault_migrates}), Texts{"system"});
  EXPECT_EQ(texts(p, "events(P:a[1])", on), Texts{"none"});  // this class goes through userptr memory
}

// svm_range_get_range_boundaries: a new range extends to the VMA's ends, or to the ranges beside it.
TEST(AmdkfdFaults, ARangeIsWhatIsLeftOfAVma) {
  const Program cut = program("  mprotect a[2] r\n  load a[0] via d\n", "events(P:a[1]) events(P:a[2])");
  EXPECT_EQ(texts(cut, "events(P:a[1])", faults), Texts{"D"});
  EXPECT_EQ(texts(cut, "events(P:a[2])", faults), Texts{"none"});
  const Program beside = program("  migrate a[1] to d via d\n  load a[0] via d\n  load a[2] via d\n",
                                 "events(P:a[0]) events(P:a[1]) events(P:a[2])");
  EXPECT_EQ(texts(beside, "events(P:a[0])", faults), Texts{"DF"});
  EXPECT_EQ(texts(beside, "events(P:a[1])", faults), Texts{"D"});
  EXPECT_EQ(texts(beside, "events(P:a[2])", faults), Texts{"DF"});
}

// The interrupt of an answered fault may come once more, but not for ever. It moves pages that the CPU has taken back. If
// the range is still mapped, it is reported like the first interrupt.
TEST(AmdkfdFaults, AFaultMayBeAnsweredTwice) {
  const Program touched = program("  store a[0] 6 via d\n  store a[0] 7\n", "events(P:a[0])");
  EXPECT_EQ(texts(touched, "events(P:a[0])", faults), (Texts{"DFUS", "DFUSDF", "DFUSDFUS"}));
  const Program changed = program("  store a[0] 6 via d\n  mprotect a[0] r\n", "events(P:a[0])");
  EXPECT_EQ(texts(changed, "events(P:a[0])", faults), (Texts{"DFU", "DFUF"}));
}

TEST(AmdkfdFaults, WhatCannotBeResolvedIsUndefined) {
  const auto undefined = [](const std::string& statements) {
    return predict(program(statements, "P:a[0]"), {.device_class = faults}).undefined;
  };
  EXPECT_EQ(undefined("  load a[0] via d\n  munmap a[0]\n"), "");
  EXPECT_NE(undefined("  munmap a[0]\n  load a[0] via d\n"), "");
  EXPECT_EQ(undefined("  mprotect a[0] r\n  load a[0] via d\n"), "");
  EXPECT_NE(undefined("  mprotect a[0] r\n  store a[0] 6 via d\n"), "");
  EXPECT_NE(undefined("  mprotect a[0] -\n  load a[0] via d\n"), "");
  // a[1] is in the same range. If the driver cannot map all of a range, it does not resolve the fault.
  EXPECT_NE(undefined("  load a[0] via d\n  mprotect a[1] -\n  store a[0] 6\n  load a[0] via d\n"), "");
}

TEST(AmdkfdFaults, ASharedPageInVramIsWritable) {
  const auto bugs = [](const std::string& statements) {
    return predict(program("  store a[0] 6 via d\n  fork C\n" + statements, "P:a[1]", "process C\n  delay 1us\n"),
                   {.device_class = faults})
        .known_bugs;
  };
  EXPECT_EQ(bugs("  load a[0] via d\n"), std::vector<std::string>{});
  EXPECT_EQ(bugs("  store a[0] 7 via d\n"), std::vector<std::string>{"writable-shared-vram"});
}

// Without XNACK, by queues of the process: they stand still until the driver has mapped the new page.
TEST(AmdkfdQueues, WaitForTheNewPage) {
  const Program p =
      program("  store a[0] 6 via d\n  madvise a dontneed\n  g = load a[0] via d\n", "events(P:a[0]) where(P:a[0])");
  EXPECT_EQ(texts(p, "P.t:g", queues), Texts{"zero"});
  EXPECT_EQ(texts(p, "events(P:a[0])", queues), Texts{"ER"});
  EXPECT_EQ(texts(p, "where(P:a[0])", queues), Texts{"system"}) << "an access moves nothing";
  Facets facets{.device_class = queues};
  facets.dropped.set(static_cast<int>(ref::Rule::kfd_stops_queues));
  const Allowed allowed = predict(p, facets);
  EXPECT_NE(allowed.findings, std::vector<std::string>{}) << "the GPU uses a page that is free";
}

TEST(AmdkfdQueues, WhatIsNotMappedIsAnErrorOrUndefined) {
  const auto undefined = [](const std::string& statements) {
    return predict(program(statements, "P:a[0]"), {.device_class = queues}).undefined;
  };
  const Program unmapped = program("  munmap a[0]\n  g = load a[0] via d\n", "P:a[1]");
  EXPECT_EQ(texts(unmapped, "P.t:g", queues), Texts{"EFAULT"});
  EXPECT_EQ(undefined("  mprotect a[0] r\n  load a[0] via d\n"), "");
  EXPECT_NE(undefined("  mprotect a[0] r\n  store a[0] 6 via d\n"), "");
  // The queues of the process may wait for ever.
  EXPECT_NE(undefined("  load a[0] via d\n  mprotect a[0] -\n  load a[1] via d\n"), "");
}

TEST(AmdkfdQueues, MeetBugsOfTheDriver) {
  const auto bugs = [](const std::string& statements, const std::string& more = "") {
    return predict(program(statements, "P:a[1]", more), {.device_class = queues}).known_bugs;
  };
  EXPECT_EQ(bugs("  load a[0] via d\n  madvise a dontneed\n"), std::vector<std::string>{});
  EXPECT_EQ(bugs("  load a[0] via d\n", "thread P.drop\n  madvise a dontneed\n"), std::vector<std::string>{"late-mapping"});
  // A request cuts the range while its pages are changing.
  EXPECT_EQ(bugs("  migrate a to d via d\n  madvise a[0] dontneed\n  migrate a[1..2] to system via d\n  load a[0] via d\n"),
            std::vector<std::string>{"unrestored-range"});
}

// A fault of the CPU brings a range back while the driver is at work on a fault of the GPU, or may be. Not one after the other.
TEST(AmdkfdFaults, TheCpuBringsBackARangeBesideAFaultOfTheGpu) {
  const auto meets = [](const std::string& then, const std::string& beside, DeviceClass c = faults) {
    const Program p = program("  load a[0] via d\n" + then, "P:a[0]", "thread P.u\n" + beside);
    const std::vector<std::string> bugs = predict(p, {.device_class = c}).known_bugs;
    EXPECT_EQ(std::ranges::count(bugs, "reused-page"), std::ranges::count(bugs, "released-bo"));
    return std::ranges::count(bugs, "released-bo") == 1;
  };
  EXPECT_FALSE(meets("  store a[0] 6\n", "  delay 1us\n"));
  EXPECT_FALSE(meets("  barrier there\n", "  barrier there\n  store a[0] 6\n"));
  EXPECT_TRUE(meets("", "  store a[0] 6\n"));
  EXPECT_TRUE(meets("", "  store a[2] 6\n")) << "of the same range";
  EXPECT_FALSE(meets("", "  madvise a dontneed\n"));
  EXPECT_FALSE(meets("", "  store a[0] 6\n", on)) << "userptr memory has no faults";
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
  EXPECT_EQ(predict(p, {.device_class = faults}).schema.back().weather, Observable::Weather::faults);
}

TEST(AmdkfdRanges, RefusesWhatItDoesNotKnow) {
  const auto why = [](const std::string& statements, const std::string& more = "") {
    return predict(program("  migrate a to d via d\n" + statements, "P:a[0]", more), {.device_class = on}).unknown;
  };
  const auto beside = [](const std::string& what) { return "ranges of amdkfd are not modelled beside " + what; };
  EXPECT_EQ(why("  munmap a\n  mmap a anon r\n  madvise a dontneed\n  fork C\n", "process C\n  load a[0]\n"), "");
  EXPECT_EQ(why("  mmap a shared rw\n"), beside("pages that are not anonymous"));
  EXPECT_EQ(why("  madvise a collapse\n"), beside("madvise that takes or joins pages"));
  EXPECT_EQ(why("  fork C\n", "process C\n  munmap a\n"), beside("a forked process that changes its mappings"));
  EXPECT_EQ(why("  exit\n"), beside("the end of a process that has ranges"));
  EXPECT_EQ(why("  close d\n"), beside("close: KFD keeps the ranges of a process"));
  EXPECT_EQ(why("  mremap a[0] -> a[1]\n"), beside("mremap: the driver does not find a page in VRAM at its new address"));
  EXPECT_EQ(why("  msync a\n"), beside("a request that its driver does not have, or a file"));
}

// The child's fault brings back the pages that both have. The driver then believes that the parent's other pages are in
// system memory, but they are in VRAM.
TEST(AmdkfdRanges, AForkedProcessCanLoseALocation) {
  const Program p = program("  fork C\n  barrier copied\n  migrate a to d via d\n  barrier there\n", "P:a[0]",
                            "process C\n  store a[1] 6\n  barrier copied\n  barrier there\n  load a[0]\n");
  const Allowed allowed = predict(p, {.device_class = on});
  EXPECT_EQ(allowed.known_bugs, std::vector<std::string>{"lost-location"});
}

}  // namespace
}  // namespace faultline
