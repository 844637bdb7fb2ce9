// Page tables, faults and TLBs, as SDMA and the driver see them.
#include "drm_glue/softgpu/vmhub.h"

#include <gtest/gtest.h>

#include <thread>

#include "drm_glue/softgpu/test_driver.h"

namespace faultline::softgpu {
namespace {

class VmHubTest : public testing::Test, protected TestDriver {
 protected:
  explicit VmHubTest(std::uint64_t seed = 0) : TestDriver(seed) {}
  // One word of VMID 1, by the GFX queue; `expect` comes into memory at `data` + 0x20000.
  void store(std::uint64_t address, std::uint32_t value) { submit_ib(gfx_, write_words(address, {value})); }
  bool fenced() {
    submit(gfx_, fence_and_trap(++fences_));
    return comes(fence, fences_);
  }
  Queue gfx_ = start(0, SdmaQueue::gfx);
  std::uint32_t fences_ = 0;
};

TEST_F(VmHubTest, ARetryFaultIsToldAndTriedAgain) {
  store(va + 0x5008, 9);
  const std::vector<Vector> told = vectors(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].client, ih_client::vmc);
  EXPECT_EQ(told[0].source, 0);
  EXPECT_EQ(told[0].vmid, 1);
  EXPECT_EQ(told[0].pasid, pasid);
  EXPECT_EQ(std::uint64_t{told[0].data[0]} << 12 | std::uint64_t{told[0].data[1] & 0xf} << 44, va + 0x5000);
  EXPECT_EQ(told[0].data[1] & 0xf0, 0xa0u) << "a write that is tried again";
  Queue other = start(0, SdmaQueue::page);
  submit(other, write_words(data + 64, {1}));
  EXPECT_TRUE(comes(data + 64, 1)) << "another queue goes on";
  EXPECT_FALSE(vectors(1).empty()) << "told again, while it stays";
  map(va + 0x5000, (bus_base + data) | from_system);
  EXPECT_TRUE(comes(data + 8, 9));
  EXPECT_TRUE(fenced());
}

TEST_F(VmHubTest, AnAccessOfManyPagesFaultsOnEach) {
  map(va, (bus_base + data) | from_system);
  submit_ib(gfx_, copy(va + 0x10000, va, 0x3000));
  for (const std::uint64_t page : {va + 0x10000, va + 0x1000, va + 0x11000, va + 0x2000, va + 0x12000}) {
    const std::vector<Vector> told = vectors(1);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_EQ(told[0].data[0], static_cast<std::uint32_t>(page >> 12));
    EXPECT_EQ(told[0].data[1] & 0x20, page >= va + 0x10000 ? 0x20u : 0u);
    map(page, (vram_data + page % 0x100000) | from_vram);
  }
  EXPECT_TRUE(fenced());
}

TEST_F(VmHubTest, AReadOnlyPageFaultsOnAWrite) {
  map(va, (bus_base + data) | (from_system & ~pte::writeable));
  ram.store32(data, 3);
  submit_ib(gfx_, copy(va + 4, va, 4));
  const std::vector<Vector> told = vectors(1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_EQ(told[0].data[1] & 0xf0, 0xa0u);
  map(va, (bus_base + data) | from_system);
  EXPECT_TRUE(comes(data + 4, 3)) << "a translation that does not permit it is no hindrance";
}

TEST_F(VmHubTest, ATranslationIsUsedUntilItIsInvalidated) {
  map(va, (bus_base + data) | from_system);
  store(va, 1);
  ASSERT_TRUE(fenced());
  map(va, (bus_base + data + 0x1000) | from_system);
  store(va, 2);
  ASSERT_TRUE(fenced());
  EXPECT_EQ(ram.load32(data), 2u) << "a driver that does not invalidate is found out";
  invalidate(2);
  store(va, 3);
  ASSERT_TRUE(fenced());
  EXPECT_EQ(ram.load32(data), 3u) << "that of another VMID changes nothing";
  invalidate(1);
  store(va, 4);
  ASSERT_TRUE(fenced());
  EXPECT_EQ(ram.load32(data), 3u);
  EXPECT_EQ(ram.load32(data + 0x1000), 4u);
}

TEST_F(VmHubTest, AnEntryOfATableMayBeALargePage) {
  const std::uint64_t directory = tables + 2 * gpu_page + 8 * (va >> 21 & 511);
  vram->store64(directory, (bus_base + data) | from_system | pte::pde_is_pte);
  submit(gfx_, {4 | 1 << 16, static_cast<std::uint32_t>(va + 0x1000), static_cast<std::uint32_t>(va >> 32), 5, 0, 0});
  const std::vector<std::uint32_t> words = write_words(va + 0x3010, {6});
  for (std::size_t i = 0; i < words.size(); ++i) ram.store32(data + 0x1000 + 4 * i, words[i]);
  ring_doorbell(doorbell_of(gfx_), gfx_.wptr);
  EXPECT_TRUE(fenced());
  EXPECT_EQ(ram.load32(data + 0x3010), 6u);
}

TEST_F(VmHubTest, WithoutARetryTheAccessIsDropped) {
  write(mmhub::VM_CONTEXT0_CNTL + 1, read(mmhub::VM_CONTEXT0_CNTL + 1) & ~0x80u);
  map(va, (bus_base + data) | from_system);
  ram.store32(data, 5);
  submit_ib(gfx_, copy(va, va + 0x5000, 4));
  ASSERT_TRUE(fenced());
  EXPECT_EQ(ram.load32(data), 0u);
  const std::vector<Vector> told = vectors(2);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].client, ih_client::vmc);
  EXPECT_EQ(told[0].data[1] & 0xf0, 0u);
  EXPECT_EQ(mmhub::VM_L2_PROTECTION_FAULT_STATUS__VMID.of(read(mmhub::VM_L2_PROTECTION_FAULT_STATUS)), 1u);
  EXPECT_EQ(read(mmhub::VM_L2_PROTECTION_FAULT_ADDR_LO32), static_cast<std::uint32_t>((va + 0x5000) >> 12));
  write(mmhub::VM_L2_PROTECTION_FAULT_CNTL, 1);
  EXPECT_EQ(read(mmhub::VM_L2_PROTECTION_FAULT_STATUS), 0u);
}

TEST_F(VmHubTest, AnInvalidEntryWithPrtIsNotTriedAgain) {
  map(va + 0x5000, pte::prt);
  store(va + 0x5000, 1);
  EXPECT_TRUE(fenced());
  const std::vector<Vector> told = vectors(2);
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].data[1] & 0xf0, 0x20u);
}

TEST_F(VmHubTest, ASemaphoreHasOneOwner) {
  EXPECT_EQ(read(mmhub::VM_INVALIDATE_ENG0_SEM + 5), 1u);
  EXPECT_EQ(read(mmhub::VM_INVALIDATE_ENG0_SEM + 5), 0u);
  EXPECT_EQ(read(mmhub::VM_INVALIDATE_ENG0_SEM + 6), 1u);
  write(mmhub::VM_INVALIDATE_ENG0_SEM + 5, 0);
  EXPECT_EQ(read(mmhub::VM_INVALIDATE_ENG0_SEM + 5), 1u);
}

class InWeather : public VmHubTest, public testing::WithParamInterface<std::uint64_t> {
 protected:
  InWeather() : VmHubTest(GetParam()) {}
};

// Faults come late, twice and in any order, and the data are right.
TEST_P(InWeather, DataAreRight) {
  constexpr std::uint64_t pages = 12, target = va + 0x20000;
  std::uint64_t faults = 0;
  for (std::uint64_t i = 0; i < pages * 512; ++i) ram.store64(data + 0x20000 + 8 * i, i * 3 + GetParam());
  submit_ib(gfx_, copy(target, va, pages * gpu_page));
  submit(gfx_, fence_and_trap(1));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (ram.load32(fence) != 1 && std::chrono::steady_clock::now() < end) {
    if (ram.load32(ih_wptr) == ih_rptr) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
      continue;
    }
    const Vector told = vectors(1).at(0);
    if (told.client != ih_client::vmc) continue;
    ++faults;
    const std::uint64_t page = (std::uint64_t{told.data[0]} << 12 | std::uint64_t{told.data[1] & 0xf} << 44) - va;
    ASSERT_LT(page, 0x20000 + pages * gpu_page);
    map(va + page, page < 0x20000 ? (bus_base + data + 0x20000 + page) | from_system : (vram_data + page) | from_vram);
    if (faults % 4 == 0) invalidate(1);
  }
  ASSERT_EQ(ram.load32(fence), 1u);
  EXPECT_GE(faults, 2 * pages);
  for (std::uint64_t i = 0; i < pages * 512; ++i) ASSERT_EQ(vram->load64(vram_data + 0x20000 + 8 * i), i * 3 + GetParam()) << i;
}

INSTANTIATE_TEST_SUITE_P(Seeds, InWeather, testing::Range<std::uint64_t>(0, 12));

}  // namespace
}  // namespace faultline::softgpu
