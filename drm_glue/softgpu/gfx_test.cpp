// The command processors: queues that registers or KIQ map, and the packets that the driver's initialisation needs.
#include "drm_glue/softgpu/gfx.h"

#include <gtest/gtest.h>

#include "drm_glue/softgpu/test_driver.h"

namespace faultline::softgpu {
namespace {

using namespace gc;
using Words = std::vector<std::uint32_t>;

constexpr std::uint32_t kiq_doorbell = 0x0, other_doorbell = 0x18;  // in bytes
constexpr std::uint64_t kiq_ring = 0x200000, other_ring = 0x210000, mqd = 0x220000, report = 0x230000;
constexpr std::uint32_t enable = 1u << 30;

Words packet(std::uint32_t operation, const Words& words) {
  Words result{3u << 30 | operation << 8 | static_cast<std::uint32_t>(words.size() - 1) << 16};
  result.insert(result.end(), words.begin(), words.end());
  return result;
}

class GfxTest : public testing::Test, protected TestDriver {
 protected:
  // KIQ is queue 0 of pipe 1 of ME 2.
  explicit GfxTest(std::uint64_t seed = 0) : TestDriver(seed) {
    write(GRBM_GFX_CNTL, 2 << 2 | 1);
    write(CP_HQD_PQ_BASE, kiq_ring >> 8);
    write(CP_HQD_PQ_BASE_HI, 0);
    write(CP_HQD_PQ_CONTROL, 9);  // 1,024 words
    write(CP_HQD_PQ_RPTR_REPORT_ADDR, report);
    write(CP_HQD_PQ_RPTR_REPORT_ADDR_HI, 0);
    write(CP_HQD_PQ_DOORBELL_CONTROL, enable | kiq_doorbell);
    write(CP_HQD_PQ_WPTR_LO, 0);
    write(CP_HQD_ACTIVE, 1);
    write(GRBM_GFX_CNTL, 0);
  }
  void kiq(const Words& words) {
    for (const std::uint32_t word : words) ram.store32(kiq_ring + 4 * (wptr_++ % 1024), word);
    ring_doorbell(kiq_doorbell, wptr_);
  }
  static Words release(std::uint32_t value, bool interrupt) {
    return packet(0x49, {0, 1u << 29 | (interrupt ? 2u << 24 : 0), static_cast<std::uint32_t>(fence), 0, value, 0, 0});
  }
  std::uint64_t wptr_ = 0;
};

class GfxInWeather : public GfxTest, public testing::WithParamInterface<std::uint64_t> {
 protected:
  GfxInWeather() : GfxTest(GetParam()) {}
};

TEST_P(GfxInWeather, ALateDoorbellLosesNothing) {
  for (std::uint32_t i = 1; i <= 60; ++i) {
    kiq(release(i, i % 20 == 0));
    if (i % 20 == 0) {
      ASSERT_TRUE(comes(fence, i));
    }
  }
  EXPECT_TRUE(comes(report, static_cast<std::uint32_t>(wptr_)));
  EXPECT_EQ(vectors(3).size(), 3u);
}
INSTANTIATE_TEST_SUITE_P(Seeds, GfxInWeather, testing::Values(1, 2, 3));

// Two indirect buffers that run each other twice: without a bound, 2 to the power of their depth times their size.
TEST_F(GfxTest, BuffersThatRunEachOtherEnd) {
  constexpr std::uint32_t size = 0x40000;
  const Words head = packet(0x3f, {static_cast<std::uint32_t>(data), 0, size});
  for (std::uint64_t at = 0; at + head.size() * 4 <= 0x100000; at += head.size() * 4)
    for (std::size_t i = 0; i < head.size(); ++i) ram.store32(data + at + 4 * i, head[i]);
  kiq(head);
  kiq(release(8, false));
  EXPECT_TRUE(comes(fence, 8));
}

TEST_F(GfxTest, HasAQueueForEachSelection) {
  EXPECT_EQ(read(CP_HQD_ACTIVE), 0u);
  write(GRBM_GFX_CNTL, 2 << 2 | 1);
  EXPECT_EQ(read(CP_HQD_ACTIVE), 1u);
  write(CP_HQD_DEQUEUE_REQUEST, 1);
  EXPECT_EQ(read(CP_HQD_ACTIVE), 0u);
}

TEST_F(GfxTest, WritesMemoryAndRegistersAndTells) {
  kiq(packet(0x37, {5 << 8, static_cast<std::uint32_t>(data), 0, 11, 12}));
  kiq(packet(0x37, {0, nbio::BIOS_SCRATCH_0, 0, 13}));
  kiq(packet(0x40, {5 << 8, nbio::BIOS_SCRATCH_0, 0, static_cast<std::uint32_t>(data + 8), 0}));
  kiq(packet(0x10, {1, 2, 3}));
  kiq(release(4, true));
  ASSERT_TRUE(comes(fence, 4));
  EXPECT_EQ(ram.load32(data + 4), 12u);
  EXPECT_EQ(ram.load32(data + 8), 13u);
  EXPECT_TRUE(comes(report, static_cast<std::uint32_t>(wptr_)));
  const std::vector<Vector> told = vectors(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].client, ih_client::grbm_cp);
  EXPECT_EQ(told[0].source, 181);
  EXPECT_EQ(told[0].ring, 2 << 2 | 1);
}

TEST_F(GfxTest, WaitsForMemory) {
  kiq(packet(0x3c, {3 | 1 << 4, static_cast<std::uint32_t>(data), 0, 5, 0xff, 4}));
  kiq(release(1, false));
  EXPECT_EQ(read(nbio::RCC_CONFIG_MEMSIZE), 64u);
  EXPECT_EQ(ram.load32(fence), 0u);
  ram.store32(data, 5);
  EXPECT_TRUE(comes(fence, 1));
}

TEST_F(GfxTest, MapsAndUnmapsAQueueOfADescriptor) {
  const auto in_mqd = [&](unsigned offset, std::uint32_t value) {
    ram.store32(mqd + 4 * (128 + offset - CP_MQD_BASE_ADDR), value);
  };
  in_mqd(CP_HQD_PQ_BASE, other_ring >> 8);
  in_mqd(CP_HQD_PQ_CONTROL, 9);
  in_mqd(CP_HQD_PQ_RPTR_REPORT_ADDR, report + 64);
  in_mqd(CP_HQD_PQ_DOORBELL_CONTROL, enable | other_doorbell);
  kiq(packet(0xa2, {1u << 29, other_doorbell, static_cast<std::uint32_t>(mqd), 0, 0, 0}));
  kiq(release(1, false));
  ASSERT_TRUE(comes(fence, 1));
  const Words words = packet(0x79, {0x40, 0xcafe});
  for (std::size_t i = 0; i < words.size(); ++i) ram.store32(other_ring + 4 * i, words[i]);
  ring_doorbell(other_doorbell, words.size());
  ASSERT_TRUE(comes(report + 64, 3));
  EXPECT_EQ(read(0xc040), 0xcafeu);
  kiq(packet(0xa3, {1u << 29, other_doorbell, 0, 0, 0}));
  kiq(release(2, false));
  ASSERT_TRUE(comes(fence, 2));
  write(GRBM_GFX_CNTL, 1 << 2);
  EXPECT_EQ(read(CP_HQD_ACTIVE), 0u);
}

// As the driver flushes a TLB by KIQ: by registers, or by PASID.
TEST_F(GfxTest, InvalidatesTlbs) {
  Queue sdma = start(0, SdmaQueue::gfx);
  const auto store = [&](std::uint32_t value) {
    submit_ib(sdma, write_words(va, {value}));
    submit(sdma, {5, static_cast<std::uint32_t>(fence + 8), 0, value, 6, 0});
    return comes(fence + 8, value);
  };
  map(va, (bus_base + data) | from_system);
  ASSERT_TRUE(store(1));
  map(va, (bus_base + data + 0x1000) | from_system);
  ASSERT_TRUE(store(2));
  kiq(packet(0x3c, {3 | 1 << 6, mmhub::VM_INVALIDATE_ENG0_REQ + 17, mmhub::VM_INVALIDATE_ENG0_ACK + 17, 0x7c0002, 2, 0x20}));
  kiq(release(1, false));
  ASSERT_TRUE(comes(fence, 1));
  ASSERT_TRUE(store(3));
  map(va, (bus_base + data + 0x2000) | from_system);
  kiq(packet(0x98, {1 | 1 << 4 | pasid << 5}));
  kiq(release(2, false));
  ASSERT_TRUE(comes(fence, 2));
  ASSERT_TRUE(store(4));
  EXPECT_EQ(ram.load32(data), 2u);
  EXPECT_EQ(ram.load32(data + 0x1000), 3u);
  EXPECT_EQ(ram.load32(data + 0x2000), 4u);
}

TEST_F(GfxTest, TheGfxRing) {
  write(CP_RB0_BASE, other_ring >> 8);
  write(CP_RB0_CNTL, 9);
  write(CP_RB0_RPTR_ADDR, report + 128);
  write(CP_RB_DOORBELL_CONTROL, enable | other_doorbell);
  const Words inner = packet(0x79, {0x40, 0xbeef});
  for (std::size_t i = 0; i < inner.size(); ++i) ram.store32(data + 4 * i, inner[i]);
  Words words = packet(0x3f, {static_cast<std::uint32_t>(data), 0, static_cast<std::uint32_t>(inner.size())});
  const Words end = release(6, true);
  words.insert(words.end(), end.begin(), end.end());
  for (std::size_t i = 0; i < words.size(); ++i) ram.store32(other_ring + 4 * i, words[i]);
  ring_doorbell(other_doorbell, words.size());
  ASSERT_TRUE(comes(fence, 6));
  EXPECT_EQ(read(0xc040), 0xbeefu);
  const std::vector<Vector> told = vectors(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].ring, 0);
}

}  // namespace
}  // namespace faultline::softgpu
