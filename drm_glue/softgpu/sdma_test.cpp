// SDMA, driven as the driver does it: rings in GART, doorbells, fences, traps; and by processes, through their page tables.
#include "drm_glue/softgpu/sdma.h"

#include <gtest/gtest.h>

#include "drm_glue/softgpu/test_driver.h"

namespace faultline::softgpu {
namespace {

using Words = std::vector<std::uint32_t>;

std::uint32_t low(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32); }

Words operator+(Words a, const Words& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class SdmaTest : public testing::Test, protected TestDriver {
 protected:
  // Runs packets on the GFX queue of VMID 0, to their end.
  void done(const Words& words) {
    submit(gfx_, words + fence_and_trap(++fences_));
    ASSERT_TRUE(comes(fence, fences_));
  }
  Queue gfx_ = start(0, SdmaQueue::gfx);
  std::uint32_t fences_ = 0;
};

TEST_F(SdmaTest, CopiesAndTells) {
  for (std::uint64_t i = 0; i < 10000; i += 4) ram.store32(data + 12 + i, low(i) ^ 0x5555);
  submit(gfx_, copy(data + 0x10004, data + 12, 10000) + fence_and_trap(7));
  ASSERT_TRUE(comes(fence, 7));
  for (std::uint64_t i = 0; i < 10000; i += 4) ASSERT_EQ(ram.load32(data + 0x10004 + i), low(i) ^ 0x5555) << i;
  EXPECT_TRUE(msi());
  const std::vector<Vector> told = vectors(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].client, ih_client::sdma0);
  EXPECT_EQ(told[0].source, 224);
  EXPECT_EQ(told[0].ring, 0);
  EXPECT_TRUE(comes(rptr_of(gfx_), low(gfx_.wptr))) << "the read pointer is written back";
  EXPECT_EQ(read(queue_register(gfx_, sdma0::SDMA0_GFX_RB_RPTR)), gfx_.wptr);
}

TEST_F(SdmaTest, TheRingWraps) {
  for (std::uint32_t i = 1; i < 2000; ++i) done(write_words(data, {i, i + 1, i + 2}));
  EXPECT_EQ(ram.load32(data + 8), 2001u);
}

TEST_F(SdmaTest, EachQueueTrapsByItsNumber) {
  Queue page = start(1, SdmaQueue::page);
  submit(page, fence_and_trap(3));
  const std::vector<Vector> told = vectors(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].client, ih_client::sdma1);
  EXPECT_EQ(told[0].ring, 1);
}

TEST_F(SdmaTest, WritesAndFills) {
  done(write_words(data + 4, {1, 2, 3}));
  EXPECT_EQ(ram.load32(data), 0u);
  EXPECT_EQ(ram.load32(data + 12), 3u);
  done({11, low(data + 0x1002), 0, 0xaabbccdd, 9999});
  EXPECT_EQ(ram.load32(data + 0x1000), 0xccdd0000u);
  EXPECT_EQ(ram.load32(data + 0x1004), 0xccddaabbu);
  EXPECT_EQ(ram.load32(data + 0x2000), 0xccddaabbu) << "the pattern goes on in the next page";
  EXPECT_EQ(ram.load32(data + 0x1002 + 10000 - 2), 0x0000aabbu) << "and ends within a word";
  done({11 | 2u << 30, low(data + 0x8000), 0, 5, 7});
  EXPECT_EQ(ram.load32(data + 0x8004), 5u);
  EXPECT_EQ(ram.load32(data + 0x8008), 0u);
}

TEST_F(SdmaTest, MakesPageTableEntries) {
  done({12, low(data), 0, 0x71, 0, 0x1000, 2, 0x1000, 0, 599});
  EXPECT_EQ(ram.load64(data), 0x2'0000'1071u);
  EXPECT_EQ(ram.load64(data + 8 * 599), 0x2'0000'1071u + 599 * 0x1000);
  done({12 | 2 << 8, low(data), 0, 0xf, 0, 0xa, 0});
  EXPECT_EQ(ram.load64(data), 0x2'0000'107au);
}

Words atomic(std::uint32_t operation, std::uint64_t to, std::uint64_t source, std::uint64_t compare = 0) {
  return {10 | operation << 25, low(to), high(to), low(source), high(source), low(compare), high(compare), 0};
}

TEST_F(SdmaTest, DoesAtomics) {
  ram.store64(data, 0xffff'ffff);
  done(atomic(0x6f, data, 2, 0));
  EXPECT_EQ(ram.load64(data), 0x1'0000'0001u);
  done(atomic(0x4f, data, 0xffff'ffff, 0));
  EXPECT_EQ(ram.load64(data), 0x1'0000'0000u) << "32 bits carry nothing over";
  done(atomic(0x68, data, 9, 8) + atomic(0x51, data + 8, 0x8000'0000, 0));
  EXPECT_EQ(ram.load64(data), 0x1'0000'0000u) << "what it was compared with is not there";
  EXPECT_EQ(ram.load32(data + 8), 0x8000'0000u) << "signed";
  done(atomic(0x68, data, 9, 0x1'0000'0000));
  EXPECT_EQ(ram.load64(data), 9u);
}

// swap, compare-and-swap and add, of 32 and 64 bits, as processes use them (TC_OP_ATOMIC_*_RTN_*).
TEST_F(SdmaTest, DoesAtomicsOfBothSizes) {
  ram.store64(data, 0x5'0000'0007);
  done(atomic(0x07, data, 0x9'0000'0003));
  EXPECT_EQ(ram.load64(data), 0x5'0000'0003u) << "swap";
  done(atomic(0x08, data, 4, 0x9'0000'0003));
  EXPECT_EQ(ram.load64(data), 0x5'0000'0004u) << "the upper half of what is expected counts for nothing";
  done(atomic(0x08, data, 6, 5) + atomic(0x0f, data, ~0u));
  EXPECT_EQ(ram.load64(data), 0x5'0000'0003u);
  done(atomic(0x27, data, 0x8'0000'0000) + atomic(0x28, data, 7, 0) + atomic(0x28, data, 0x9'0000'0000, 0x8'0000'0000));
  EXPECT_EQ(ram.load64(data), 0x9'0000'0000u);
  done(atomic(0x2f, data, ~std::uint64_t{0}));
  EXPECT_EQ(ram.load64(data), 0x8'ffff'ffffu);
  done(atomic(0x2f, data + 4, 1));
  EXPECT_EQ(ram.load64(data), 0x8'ffff'ffffu) << "not aligned";
}

// An atomic that has faulted is done once.
TEST_F(SdmaTest, AnAtomicWaitsForItsPage) {
  Queue rlc = start(0, 2);
  ram.store64(data, 40);
  map(va, ((bus_base + data) | from_system) & ~pte::writeable);
  submit(rlc, atomic(0x2f, va, 2));
  ASSERT_EQ(vectors(1).size(), 1u);
  EXPECT_EQ(ram.load64(data), 40u) << "it needs to write";
  map(va, (bus_base + data) | from_system);
  ASSERT_TRUE(comes(rptr_of(rlc), low(rlc.wptr)));
  EXPECT_EQ(ram.load64(data), 42u);
}

TEST_F(SdmaTest, PollsMemory) {
  submit(gfx_, Words{8 | 3u << 28 | 1u << 31, low(data), 0, 5, 0xff, 0} + fence_and_trap(1));
  Queue other = start(0, SdmaQueue::page);
  submit(other, write_words(data + 64, {1}));
  ASSERT_TRUE(comes(data + 64, 1)) << "another queue goes on";
  EXPECT_EQ(ram.load32(fence), 0u);
  ram.store32(data, 0x305);
  EXPECT_TRUE(comes(fence, 1));
}

TEST_F(SdmaTest, SkipsWhatACondition) {
  done(Words{9, low(data), 0, 1, 5} + write_words(data + 8, {7}) + write_words(data + 16, {8}));
  EXPECT_EQ(ram.load32(data + 8), 0u);
  EXPECT_EQ(ram.load32(data + 16), 8u);
}

// As no driver does: an indirect buffer of VMID 0 that turns its own queue off and on.
TEST_F(SdmaTest, ABufferMayStopItsOwnQueue) {
  const std::uint32_t control = read(queue_register(gfx_, sdma0::SDMA0_GFX_RB_CNTL));
  const std::uint32_t name = queue_register(gfx_, sdma0::SDMA0_GFX_RB_CNTL);
  const Words buffer{14 | 0xfu << 28, name, control & ~1u, 14 | 0xfu << 28, name, control};
  for (std::size_t i = 0; i < buffer.size(); ++i) ram.store32(data + 4 * i, buffer[i]);
  submit(gfx_, {4, low(data), 0, static_cast<std::uint32_t>(buffer.size()), 0, 0});
  Queue other = start(0, SdmaQueue::page);
  submit(other, write_words(data + 64, {1}));
  EXPECT_TRUE(comes(data + 64, 1)) << "another queue goes on";
  write(name, control);
}

TEST_F(SdmaTest, WritesRegistersAndTimes) {
  done({14 | 0xfu << 28, nbio::BIOS_SCRATCH_0, 77});
  EXPECT_EQ(read(nbio::BIOS_SCRATCH_0), 77u);
  done({13 | 2 << 8, low(data), 0});
  const std::uint64_t first = ram.load64(data);
  done({13 | 2 << 8, low(data), 0});
  EXPECT_GT(ram.load64(data), first);
}

TEST_F(SdmaTest, PassesOverWhatItDoesNotKnow) {
  done({0xee, 0xdd, 3 << 16, 1, 2, 3});
  done(write_words(data, {4}));
  EXPECT_EQ(ram.load32(data), 4u);
}

TEST_F(SdmaTest, WaitsForTheRestOfAPacket) {
  put(gfx_, {5, low(data), 0});
  ring_doorbell(doorbell_of(gfx_), gfx_.wptr);
  EXPECT_EQ(read(nbio::RCC_CONFIG_MEMSIZE), 64u);
  done({3});
  EXPECT_EQ(ram.load32(data), 3u);
}

TEST_F(SdmaTest, SurvivesBadPointers) {
  ring_doorbell(doorbell_of(gfx_), ~0ull);
  gfx_.wptr = ~0ull;
  EXPECT_EQ(read(nbio::RCC_CONFIG_MEMSIZE), 64u);
  ring_doorbell(doorbell_of(gfx_), 0);
  gfx_ = start(0, SdmaQueue::gfx);
  done(write_words(data, {4}));
}

TEST_F(SdmaTest, ReachesNothingBesideTheMachinesMemory) {
  vram->store64(gart_table, (bus_base + ram_bytes) | from_system);
  done(copy(data, 0, 8) + write_words(4, {1}));
  EXPECT_EQ(ram.load64(data), ~0ull) << "as a bus answers";
}

TEST_F(SdmaTest, RunsIndirectBuffersOfAProcess) {
  map(va, (bus_base + data) | from_system);
  map(va + gpu_page, vram_data | from_vram);
  ram.store64(data, 0x1234);
  submit_ib(gfx_, copy(va + gpu_page + 8, va, 8) + copy(va + 16, va + gpu_page + 8, 8));
  submit(gfx_, fence_and_trap(1));
  ASSERT_TRUE(comes(fence, 1));
  EXPECT_EQ(vram->load64(vram_data + 8), 0x1234u);
  EXPECT_EQ(ram.load64(data + 16), 0x1234u);
}

TEST_F(SdmaTest, AProcessWritesNoRegister) {
  submit_ib(gfx_, {14 | 0xfu << 28, nbio::BIOS_SCRATCH_0, 77});
  submit(gfx_, fence_and_trap(1));
  ASSERT_TRUE(comes(fence, 1));
  EXPECT_EQ(read(nbio::BIOS_SCRATCH_0), 0u);
}

TEST_F(SdmaTest, AQueueOfAProcess) {
  Queue rlc = start(1, 4);
  map(va, (bus_base + data) | from_system);
  submit(rlc, write_words(va, {5}) + Words{6, 0x123});
  ASSERT_TRUE(comes(data, 5));
  const std::vector<Vector> told = vectors(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].vmid, 1);
  EXPECT_EQ(told[0].pasid, pasid);
  EXPECT_EQ(told[0].data[0], 0x123u);
  EXPECT_TRUE(comes(rptr_of(rlc), low(rlc.wptr)));
}

// As amdkfd takes a queue away, and gives it back.
TEST_F(SdmaTest, AQueueThatWasTakenAwayDoesNothing) {
  using namespace sdma0;
  Queue rlc = start(0, 2);
  submit(rlc, write_words(va, {5}));  // faults
  ASSERT_EQ(vectors(1).size(), 1u);
  const unsigned control = queue_register(rlc, SDMA0_GFX_RB_CNTL);
  const std::uint32_t on = read(control);
  write(control, on & ~1u);
  EXPECT_NE(read(queue_register(rlc, SDMA0_GFX_CONTEXT_STATUS)) & SDMA0_GFX_CONTEXT_STATUS__IDLE.mask, 0u);
  write(queue_register(rlc, SDMA0_GFX_DOORBELL), 0);
  write(control, on);
  map(va, (bus_base + data) | from_system);
  done(write_words(data + 64, {1}));
  EXPECT_EQ(ram.load32(data), 0u);
  EXPECT_EQ(read(queue_register(rlc, SDMA0_GFX_RB_RPTR)), 0u) << "from where it goes on";
  write(queue_register(rlc, SDMA0_GFX_DOORBELL), SDMA0_GFX_DOORBELL__ENABLE.set(1));
  ring_doorbell(doorbell_of(rlc), rlc.wptr);
  EXPECT_TRUE(comes(data, 5));
}

// As kgd_hqd_sdma_load() gives a queue back: it enables the doorbell, reads the process's write pointer and writes the register.
TEST_F(SdmaTest, ADoorbellWhileAQueueIsGivenBackCounts) {
  using namespace sdma0;
  Queue rlc = start(0, 2);
  map(va, (bus_base + data) | from_system);
  const unsigned control = queue_register(rlc, SDMA0_GFX_RB_CNTL), doorbell = queue_register(rlc, SDMA0_GFX_DOORBELL);
  const std::uint32_t on = read(control);
  write(control, on & ~1u);
  submit(rlc, write_words(va, {5}));
  write(queue_register(rlc, SDMA0_GFX_RB_WPTR), 0);
  EXPECT_EQ(ram.load32(data), 0u);
  write(control, on);
  EXPECT_TRUE(comes(data, 5));
  // Not one from before the doorbell was disabled.
  write(control, on & ~1u);
  submit(rlc, write_words(va, {6}));
  write(doorbell, 0);
  write(doorbell, SDMA0_GFX_DOORBELL__ENABLE.set(1));
  write(queue_register(rlc, SDMA0_GFX_RB_WPTR), read(queue_register(rlc, SDMA0_GFX_RB_RPTR)));
  write(control, on);
  done(write_words(data + 64, {1}));
  EXPECT_EQ(ram.load32(data), 5u);
}

// What a queue of a process reads after it was taken away and given back, and the page was replaced meanwhile.
std::uint32_t read_after_restore(bool flush_with_queue) {
  using namespace sdma0;
  TestDriver driver(0, flush_with_queue);
  TestDriver::Queue rlc = driver.start(0, 2);
  constexpr std::uint64_t va = TestDriver::va, data = TestDriver::data, result = data + 0x3000;
  driver.ram.store32(data, 1);
  driver.ram.store32(data + 0x1000, 2);
  driver.map(va, (TestDriver::bus_base + data) | TestDriver::from_system);
  driver.map(va + 0x3000, (TestDriver::bus_base + result) | TestDriver::from_system);
  driver.submit(rlc, TestDriver::copy(va + 0x3000, va, 4));
  EXPECT_TRUE(driver.comes(result, 1));
  const unsigned control = driver.queue_register(rlc, SDMA0_GFX_RB_CNTL);
  const std::uint32_t on = driver.read(control);
  driver.write(control, on & ~1u);
  driver.map(va, (TestDriver::bus_base + data + 0x1000) | TestDriver::from_system);
  driver.write(control, on);
  driver.submit(rlc, TestDriver::copy(va + 0x3004, va, 4) + TestDriver::write_words(va + 0x3008, {1}));
  EXPECT_TRUE(driver.comes(result + 8, 1));
  return driver.ram.load32(result + 4);
}

TEST(SdmaRestore, OnlyAnInvalidationDropsTranslations) { EXPECT_EQ(read_after_restore(false), 1u); }
TEST(SdmaRestore, OrTheQueueTakesThemWithIt) { EXPECT_EQ(read_after_restore(true), 2u); }

}  // namespace
}  // namespace faultline::softgpu
