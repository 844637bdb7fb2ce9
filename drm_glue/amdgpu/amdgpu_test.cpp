// Tests that need no GPU: packets, and how events are read. The rest is tested on mocked GPUs (drm_glue/mocks).
#include <amdgpu_drm.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include "drm_glue/amdgpu/copier.h"
#include "drm_glue/amdgpu/fault_drain.h"
#include "drm_glue/amdgpu/memory.h"
#include "drm_glue/amdgpu/svm.h"

namespace faultline::amdgpu {
namespace {

using Kind = kfd::SmiEvent::Kind;
constexpr std::uint32_t gpu = 0x1f2e;
constexpr std::uintptr_t address = 0x7000'0000'1000;

kfd::SmiEvent event(Kind kind, std::uint64_t page = address / page_bytes, std::uint64_t pages = 1) {
  kfd::SmiEvent result;
  result.kind = kind;
  result.address = page;
  result.pages = pages;
  return result;
}

kfd::SmiEvent migration(std::uint32_t to, std::uint32_t trigger = 0) {
  kfd::SmiEvent result = event(Kind::migrate_end);
  result.node = to;
  result.trigger = trigger;
  return result;
}

std::string told(const std::vector<kfd::SmiEvent>& events) {
  const PageHistory history = history_of(address, events, gpu);
  return history.events + (history.gap.empty() ? "" : " gap");
}

TEST(Amdgpu, SizesOfCopiesCountFromZeroSinceSdma4) {
  const std::uint64_t to = 0x1'0000'2000, from = 0x2'0000'3000;
  const std::array<std::uint32_t, 7> older = copy_linear(AMDGPU_FAMILY_VI, to, from, 8);
  EXPECT_EQ(older, (std::array<std::uint32_t, 7>{1, 8, 0, 0x3000, 2, 0x2000, 1}));
  EXPECT_EQ(copy_linear(AMDGPU_FAMILY_AI, to, from, 8)[1], 7u);
  EXPECT_FALSE(has_copy_linear(AMDGPU_FAMILY_SI));
  EXPECT_TRUE(has_copy_linear(AMDGPU_FAMILY_CI));
}

TEST(Amdgpu, AFenceFollowsACopy) { EXPECT_EQ(fence(0x1'0000'2000, 7), (std::array<std::uint32_t, 4>{5, 0x2000, 1, 7})); }

TEST(Amdgpu, EventsOfAPageInTheirOrder) {
  EXPECT_EQ(told({migration(gpu), event(Kind::unmap_from_gpu), migration(0)}), "DUS");
  EXPECT_EQ(told({event(Kind::page_fault_end), event(Kind::queue_eviction, 0, 0), event(Kind::queue_restore, 0, 0)}), "FER");
  EXPECT_EQ(told({event(Kind::migrate_start), event(Kind::page_fault_start)}), "");
  EXPECT_EQ(told({}), "");
}

TEST(Amdgpu, EventsOfOtherPagesAreNotThisOnes) {
  const std::uint64_t page = address / page_bytes;
  EXPECT_EQ(told({event(Kind::unmap_from_gpu, page - 3, 3), event(Kind::unmap_from_gpu, page + 1, 9)}), "");
  EXPECT_EQ(told({event(Kind::unmap_from_gpu, page - 3, 4), event(Kind::unmap_from_gpu, page, 1)}), "UU");
}

TEST(Amdgpu, AnotherPlaceIsNoPlaceThatIsExpected) { EXPECT_EQ(told({migration(gpu + 1)}), "?"); }

TEST(Amdgpu, AQueueThatWasNotRestoredIsStopped) {
  kfd::SmiEvent again = event(Kind::queue_restore, 0, 0);
  again.rescheduled = true;
  EXPECT_EQ(told({event(Kind::queue_eviction, 0, 0), again}), "E");
}

// The driver may stop queues on its own, beside a stop for an SVM range.
TEST(Amdgpu, ARestoreThatIsStillToComeIsNotForgotten) {
  kfd::SmiEvent own = event(Kind::queue_eviction, 0, 0);
  own.trigger = KFD_QUEUE_EVICTION_TRIGGER_TTM;
  const kfd::SmiEvent stop = event(Kind::queue_eviction, 0, 0), restore = event(Kind::queue_restore, 0, 0);
  const std::vector<kfd::SmiEvent> nested{own, stop, restore}, over{own, stop, restore, restore}, svm{stop};
  EXPECT_TRUE(is_stopped(nested));
  EXPECT_FALSE(is_stopped(over));
  EXPECT_FALSE(is_stopped(std::vector{restore}));
  std::vector<kfd::SmiEvent> next = unfinished(nested);
  next.insert(next.end(), {stop, restore, restore});
  EXPECT_NE(told(next).find("gap"), std::string::npos);
  EXPECT_EQ(told({stop, restore, restore}), "ERR") << "no gap of the program's own makes up for it";
  EXPECT_TRUE(unfinished(over).empty());
  EXPECT_TRUE(unfinished(svm).empty()) << "that one may never end";
}

// Events that the program did not cause, and partial failures, make a gap.
TEST(Amdgpu, WhatTheDriverDoesOnItsOwnIsAGap) {
  EXPECT_EQ(told({migration(gpu), migration(0, KFD_MIGRATE_TRIGGER_TTM_EVICTION)}), "D gap");
  kfd::SmiEvent other = event(Kind::queue_eviction, 0, 0);
  other.trigger = KFD_QUEUE_EVICTION_TRIGGER_TTM;
  EXPECT_EQ(told({other}), " gap");
  kfd::SmiEvent partly = migration(gpu);
  partly.error = 3;
  EXPECT_EQ(told({partly}), " gap");
  partly.error = 0;
  EXPECT_EQ(told({partly}), "D");
}

// A driver that accepts everything and tells nothing.
class Accepts : public FaultyKernel {
 public:
  Accepts() : FaultyKernel(real_kernel()) {}
  int ioctl(int, unsigned long, void*) override { return 0; }
  ssize_t read(int, void*, std::size_t) override {
    errno = EAGAIN;
    return -1;
  }
};

// Counts the copies that find no page. Each brings it, as the answer to a fault does.
class Counts : public Copier {
 public:
  explicit Counts(int& faults) : faults_(faults) {}
  void copy(std::uint64_t, std::uint64_t from, std::uint32_t, std::span<const std::uint32_t>) override {
    void* const page = reinterpret_cast<void*>(from);
    unsigned char there = 0;
    if (mincore(page, page_bytes, &there) == 0 && (there & 1) == 0) ++faults_;
    *static_cast<volatile std::uint64_t*>(page) = 1;
  }
  std::uint64_t& word() override { return word_; }
  std::uint64_t word_address() const override { return 0; }

 private:
  int& faults_;
  std::uint64_t word_ = 0;
};

TEST(Amdgpu, EachWaitForFaultsMakesOneBehindThem) {
  Accepts kernel;
  SvmProcess svm(gpu, "", kernel);
  int faults = 0;
  FaultDrain drain(std::make_unique<Counts>(faults), svm);
  for (int waits = 1; waits <= 3; ++waits) {
    drain.wait();
    EXPECT_EQ(faults, waits);
  }
}

}  // namespace
}  // namespace faultline::amdgpu
