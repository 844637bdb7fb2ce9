#include "drm_glue/kfd/smi_event.h"

#include <gtest/gtest.h>

namespace faultline::kfd {
namespace {

using Kind = SmiEvent::Kind;

// As kfd_smi_events.c prints them: 96 is gpu id 0x1f2e's process, pages from 0x7f0000001 on.
constexpr int pid = 96;
constexpr std::int64_t ns = 5'000'000'123;
constexpr std::uint64_t page = 0x7f0000001;
constexpr std::uint32_t gpu = 0x1f2e;

SmiEvent event(Kind kind) { return {.kind = kind, .ns = ns, .pid = pid}; }

TEST(SmiEvent, Migrations) {
  SmiEvent start = event(Kind::migrate_start);
  start.address = page, start.pages = 0x10, start.node = gpu, start.preferred = gpu, start.trigger = 1;
  EXPECT_EQ(parse_smi_event("5 5000000123 -96 @7f0000001(10) 0->1f2e 0:1f2e 1"), start);
  SmiEvent end = event(Kind::migrate_end);
  end.address = page, end.pages = 0x10, end.from = gpu, end.trigger = 2;
  EXPECT_EQ(parse_smi_event("6 5000000123 -96 @7f0000001(10) 1f2e->0 2"), end);
  end.error = -12;
  EXPECT_EQ(parse_smi_event("6 5000000123 -96 @7f0000001(10) 1f2e->0 2 -12"), end);
}

TEST(SmiEvent, PageFaults) {
  SmiEvent fault = event(Kind::page_fault_start);
  fault.address = page, fault.pages = 1, fault.node = gpu;
  EXPECT_EQ(parse_smi_event("7 5000000123 -96 @7f0000001(1f2e) R"), fault);
  fault.write = true;
  EXPECT_EQ(parse_smi_event("7 5000000123 -96 @7f0000001(1f2e) W"), fault);
  fault.kind = Kind::page_fault_end, fault.write = false;
  EXPECT_EQ(parse_smi_event("8 5000000123 -96 @7f0000001(1f2e) U"), fault);
  fault.migrated = true;
  EXPECT_EQ(parse_smi_event("8 5000000123 -96 @7f0000001(1f2e) M"), fault);
  EXPECT_FALSE(parse_smi_event("7 5000000123 -96 @7f0000001(1f2e) M"));
}

TEST(SmiEvent, QueuesInAllFormats) {
  SmiEvent eviction = event(Kind::queue_eviction);
  eviction.node = gpu, eviction.trigger = 4;
  EXPECT_EQ(parse_smi_event("9 5000000123 -96 1f2e 4"), eviction);
  SmiEvent restore = event(Kind::queue_restore);
  restore.node = gpu;
  EXPECT_EQ(parse_smi_event("a 5000000123 -96 1f2e"), restore);
  EXPECT_EQ(parse_smi_event(std::string_view("a 5000000123 -96 1f2e \0", 23)), restore);
  EXPECT_EQ(parse_smi_event("a 5000000123 -96 1f2e 0"), restore);
  restore.rescheduled = true;
  EXPECT_EQ(parse_smi_event("a 5000000123 -96 1f2e R"), restore);
  EXPECT_FALSE(parse_smi_event("a 5000000123 -96 1f2e X"));
}

TEST(SmiEvent, Unmaps) {
  SmiEvent unmap = event(Kind::unmap_from_gpu);
  unmap.address = page, unmap.pages = 2, unmap.node = gpu, unmap.trigger = 2;
  EXPECT_EQ(parse_smi_event("b 5000000123 -96 @7f0000001(2) 1f2e 2"), unmap);
}

TEST(SmiEvent, WhatIsAboutADeviceOrAProcess) {
  EXPECT_EQ(parse_smi_event("1 60:clpeak"), (SmiEvent{.kind = Kind::vm_fault, .pid = 0x60, .words = "clpeak"}));
  EXPECT_EQ(parse_smi_event("2 40:3e8"), (SmiEvent{.kind = Kind::thermal_throttle, .words = "40:3e8"}));
  EXPECT_EQ(parse_smi_event("3 7"), (SmiEvent{.kind = Kind::gpu_pre_reset, .words = "7"}));
  EXPECT_EQ(parse_smi_event("3 7 ring gfx timeout"), (SmiEvent{.kind = Kind::gpu_pre_reset, .words = "7 ring gfx timeout"}));
  EXPECT_EQ(parse_smi_event("4 7"), (SmiEvent{.kind = Kind::gpu_post_reset, .words = "7"}));
  EXPECT_EQ(parse_smi_event("c 5000000123 -96 clpeak"),
            (SmiEvent{.kind = Kind::process_start, .ns = ns, .pid = pid, .words = "clpeak"}));
}

TEST(SmiEvent, LinesThatAreNone) {
  for (const char* line :
       {"", "5", "zz", "5 5000000123", "5 5000000123 -96 @7f0000001(10) 0->1f2e 0:1f2e", "20 5000000123 -96 1f2e",
        "6 5000000123 -96 @7f0000001(10) 1f2e->0 2 -12 7", "b 5000000123 -96 @7f0000001(2) 1f2e 2 more", "3 "})
    EXPECT_FALSE(parse_smi_event(line)) << line;
}

std::string fault(int number) {
  const std::string address = std::to_string(100 + number);
  return "7 1 -96 @" + address + "(1f2e) R\n8 2 -96 @" + address + "(1f2e) U\n";
}

TEST(SmiStream, CutsLinesWhereverTheReadsEnd) {
  const std::string all = fault(1) + fault(2) + fault(3);
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    SmiStream stream;
    stream.feed(all.substr(0, cut));
    stream.feed(all.substr(cut));
    EXPECT_EQ(stream.take().size(), 6u);
    EXPECT_EQ(stream.gap(), "");
    EXPECT_TRUE(stream.take().empty());
  }
}

TEST(SmiStream, KnowsWhatHasNoEndYet) {
  SmiStream stream;
  EXPECT_FALSE(stream.answering());
  stream.feed("5 1 -96 @101(1) 0->1f2e 0:0 0\n");  // a migrate_start
  EXPECT_EQ(stream.take().size(), 1u);
  EXPECT_FALSE(stream.answering());
  stream.feed("7 1 -96 @101(1f2e) R\n");
  EXPECT_TRUE(stream.answering());
  stream.feed("8 2 -96 @101(1f2e) U\n");
  EXPECT_FALSE(stream.answering());
}

TEST(SmiStream, NoticesWhatIsMissing) {
  SmiStream without_start;
  without_start.feed("8 2 -96 @101(1f2e) U\n");
  EXPECT_EQ(without_start.gap(), "an end without its start");
  SmiStream of_another_page;
  of_another_page.feed("7 1 -96 @101(1f2e) R\n8 2 -96 @102(1f2e) U\n");
  EXPECT_EQ(of_another_page.gap(), "an end without its start");
  SmiStream no_event;
  no_event.feed("7 1 -96 @10\n");
  EXPECT_EQ(no_event.gap(), "a line that is not an event: '7 1 -96 @10'");
}

TEST(SmiStream, AFullBufferMayHaveDroppedSome) {
  std::string all;
  while (all.size() <= SmiStream::kernel_buffer - SmiStream::longest_event) all += fault(static_cast<int>(all.size()));
  SmiStream stream;
  stream.feed(all);
  EXPECT_EQ(stream.gap(), "the kernel's buffer was full: events may have been dropped");
}

}  // namespace
}  // namespace faultline::kfd
