// The device as a whole: what the driver reads of it, its interrupts, and that no client can break it.
#include "drm_glue/softgpu/gpu.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

#include "drm_glue/softgpu/firmware.h"
#include "drm_glue/softgpu/test_driver.h"
#include "drm_glue/softgpu/vbios.h"

namespace faultline::softgpu {
namespace {

class GpuTest : public testing::Test, protected TestDriver {};

TEST_F(GpuTest, IsAVega20) {
  EXPECT_EQ(client.read32(7, 0), 0x66a11002u);
  EXPECT_EQ(client.read32(7, 8), 0x03800000u);
  ASSERT_EQ(client.region_info(0), 0);
  EXPECT_EQ(client.reply_head<vfio_region_info>().size, vram_bytes);
  EXPECT_EQ(client.reply_head<vfio_region_info>().flags, 7u) << "the client maps VRAM";
  EXPECT_EQ(client.read32(6, 0) & 0xffff, 0xaa55u);
  EXPECT_EQ(read(nbio::RCC_CONFIG_MEMSIZE), 64u) << "MiB";
  EXPECT_EQ(read(mmhub::MC_VM_FB_LOCATION_BASE), Nbio::vram_base >> 24);
  EXPECT_EQ(read(nbio::BIOS_SCRATCH_7), 0x200u);
  EXPECT_EQ(read(nbio::GPU_HDP_FLUSH_DONE), ~0u);
  EXPECT_NE(read(sdma0::SDMA0_STATUS_REG) & 1, 0u);
}

TEST_F(GpuTest, VramIsSharedWithTheClient) {
  vram->store32(vram_data, 5);
  EXPECT_EQ(client.read32(Gpu::vram_bar, vram_data), 5u);
  Queue gfx = start(0, SdmaQueue::gfx);
  std::vector<std::uint32_t> words = copy(data, Nbio::vram_base + vram_data, 4);
  submit(gfx, words);
  EXPECT_TRUE(comes(data, 5)) << "VMID 0 sees it by an aperture";
}

TEST_F(GpuTest, KeepsRegistersOfTheManagementNetwork) {
  write(nbio::PCIE_INDEX2, 0x12345678);
  write(nbio::PCIE_DATA2, 9);
  write(nbio::PCIE_INDEX2, 4);
  EXPECT_EQ(read(nbio::PCIE_DATA2), 0u);
  write(nbio::PCIE_INDEX2, 0x12345678);
  EXPECT_EQ(read(nbio::PCIE_DATA2), 9u);
}

TEST_F(GpuTest, MapsPasids) {
  write(athub::ATC_VMID0_PASID_MAPPING + 3, 0x80008001);
  write(athub::ATC_VMID16_PASID_MAPPING + 3, 0x80008001);
  EXPECT_EQ(read(athub::ATC_VMID_PASID_MAPPING_UPDATE_STATUS), 1u << 3 | 1u << 19);
  write(athub::ATC_VMID_PASID_MAPPING_UPDATE_STATUS, 1u << 3);
  EXPECT_EQ(read(athub::ATC_VMID_PASID_MAPPING_UPDATE_STATUS), 1u << 19);
}

TEST_F(GpuTest, TheIhRingOverflows) {
  Queue gfx = start(0, SdmaQueue::gfx);
  constexpr unsigned slots = ih_bytes / Ih::vector_bytes;
  for (unsigned i = 0; i < slots + 5; ++i) submit(gfx, fence_and_trap(i + 1));
  ASSERT_TRUE(comes(fence, slots + 5));
  ASSERT_TRUE(comes(rptr_of(gfx), static_cast<std::uint32_t>(gfx.wptr)));
  EXPECT_EQ(read(osssys::IH_RB_WPTR), 5 * Ih::vector_bytes + 1) << "an overflow";
  EXPECT_EQ(ram.load32(ih_wptr), 5 * Ih::vector_bytes + 1);
  const std::uint32_t control = read(osssys::IH_RB_CNTL);
  write(osssys::IH_RB_CNTL, control | osssys::IH_RB_CNTL__WPTR_OVERFLOW_CLEAR.mask);
  write(osssys::IH_RB_CNTL, control);
  EXPECT_EQ(read(osssys::IH_RB_WPTR), 5 * Ih::vector_bytes);
  ring_doorbell(0x1f0 * 4, 6 * Ih::vector_bytes);
  EXPECT_TRUE(msi()) << "there is more to read";
}

TEST_F(GpuTest, ResetForgets) {
  write(nbio::BIOS_SCRATCH_0, 5);
  start(0, SdmaQueue::gfx);
  ASSERT_EQ(client.ask(vfio_user::Command::reset), 0);
  EXPECT_EQ(read(nbio::BIOS_SCRATCH_0), 0u);
  EXPECT_EQ(read(sdma0::SDMA0_GFX_RB_CNTL), 0u);
  EXPECT_EQ(read(nbio::BIOS_SCRATCH_7), 0x200u);
}

TEST_F(GpuTest, MemoryMayGoWhileItIsUsed) {
  Queue gfx = start(0, SdmaQueue::gfx);
  submit(gfx, copy(data, data + 0x100000, 0x100000));
  ASSERT_EQ(client.unmap(bus_base, ram_bytes), 0);
  for (int i = 0; i < 20; ++i) submit(gfx, fence_and_trap(1));
  ASSERT_EQ(client.map(bus_base, ram_bytes, ram.fd()), 0);
  EXPECT_EQ(read(nbio::RCC_CONFIG_MEMSIZE), 64u);
}

// Whatever is in registers, rings and tables.
class Hostile : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Hostile, NothingBreaksIt) {
  std::mt19937_64 random(GetParam());
  TestDriver driver(GetParam() % 3);
  std::vector<TestDriver::Queue> queues{driver.start(0, 0), driver.start(1, 1), driver.start(0, 4)};
  const auto any_word = [&]() -> std::uint32_t {
    switch (random() % 6) {
      case 0: return static_cast<std::uint32_t>(random() % 17);
      case 1: return static_cast<std::uint32_t>(random() % 17 | (random() % 4) << 8 | random() % 2 << 16 | random() << 24);
      case 2: return static_cast<std::uint32_t>(TestDriver::data + random() % 0x10000);
      case 3: return static_cast<std::uint32_t>(random() % 0x7f01);
      case 4: return static_cast<std::uint32_t>(random() % 0x100);
      default: return static_cast<std::uint32_t>(random());
    }
  };
  for (int i = 0; i < 600; ++i) {
    TestDriver::Queue& queue = queues[random() % queues.size()];
    std::vector<std::uint32_t> words(random() % 40);
    for (std::uint32_t& word : words) word = any_word();
    switch (random() % 8) {
      case 0: driver.write(static_cast<unsigned>(random() % register_count), any_word()); break;
      case 1:
        driver.write(driver.queue_register(queue, sdma0::SDMA0_GFX_RB_CNTL) + static_cast<unsigned>(random() % 0x30), any_word());
        break;
      case 2: driver.write(gc::CP_MQD_BASE_ADDR + static_cast<unsigned>(random() % 56), any_word()); break;
      case 3: driver.ring_doorbell(random() % 0x1000 & ~std::uint64_t{3}, any_word()); break;
      case 4: driver.vram->store64(TestDriver::tables + 8 * (random() % 2048), random() % 2 ? random() : random() | 0x71); break;
      case 5: driver.read(static_cast<unsigned>(random() % register_count)); break;
      default: driver.submit(queue, words); break;
    }
    if (i % 50 == 0)
      queues[i / 50 % queues.size()] = driver.start(i / 50 % 3 == 1, i / 50 % 3 == 0 ? 0 : i / 50 % 3 == 1 ? 1 : 4);
  }
  EXPECT_EQ(driver.client.read32(7, 0), 0x66a11002u) << "it still answers";
}

INSTANTIATE_TEST_SUITE_P(Seeds, Hostile, testing::Range<std::uint64_t>(1, 13));

TEST(Vbios, IsWhatTheDriverLooksFor) {
  const std::vector<std::uint8_t> image = vbios();
  ASSERT_EQ(image.size(), vbios_bytes);
  EXPECT_EQ(std::accumulate(image.begin(), image.end(), 0u) & 0xff, 0u);
  const auto word = [&](std::size_t at) -> std::size_t { return image.at(at) | image.at(at + 1) << 8; };
  const auto text = [&](std::size_t at, std::size_t bytes) {
    return std::string(image.begin() + static_cast<std::ptrdiff_t>(at), image.begin() + static_cast<std::ptrdiff_t>(at + bytes));
  };
  EXPECT_EQ(word(0), 0xaa55u);
  EXPECT_EQ(image.at(3), 0xcb) << "SeaBIOS runs what has the right sum";
  EXPECT_EQ(text(0x30, 10), " 761295520");
  EXPECT_EQ(text(word(0x18), 4), "PCIR");
  EXPECT_EQ(word(word(0x18) + 6), vega20_device);
  const std::size_t header = word(0x48), tables = word(header + 0x20), info = word(tables + 4 + 2 * 4);
  EXPECT_EQ(text(header + 4, 4), "ATOM");
  EXPECT_EQ(image.at(info + 2), 3) << "firmwareinfo";
  EXPECT_EQ(word(info + 0x18), nbio::BIOS_SCRATCH_0);
}

TEST(Firmware, HasTheSizesThatItsHeadersTell) {
  char folder[] = "/tmp/softgpu-firmware-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  write_firmware(std::string(folder) + "/amdgpu");
  for (const FirmwareFile& each : firmware()) {
    std::ifstream in(std::string(folder) + "/amdgpu/" + each.name, std::ios::binary);
    const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    ASSERT_EQ(bytes.size(), each.bytes.size()) << each.name;
    std::uint32_t words[8];
    std::memcpy(words, bytes.data(), sizeof words);
    EXPECT_EQ(words[0], bytes.size()) << each.name << ": amdgpu_ucode_validate() compares";
    EXPECT_EQ(words[6] + words[5], bytes.size()) << each.name;
  }
  std::filesystem::remove_all(folder);
}

TEST(RegisterNames, AreThoseOfTheDriver) {
  EXPECT_EQ(register_name(mmhub::VM_CONTEXT0_CNTL), "mmhub::VM_CONTEXT0_CNTL");
  EXPECT_EQ(register_name(osssys::IH_RB_CNTL), "osssys::IH_RB_CNTL");
  EXPECT_EQ(register_name(0x1ffff), "131071");
}

}  // namespace
}  // namespace faultline::softgpu
