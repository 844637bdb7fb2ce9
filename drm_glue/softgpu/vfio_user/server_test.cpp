// The server against a client: what QEMU asks, and what no good client would.
#include "drm_glue/softgpu/vfio_user/server.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cstring>

#include "drm_glue/softgpu/vfio_user/shared.h"
#include "drm_glue/softgpu/vfio_user/test_client.h"

namespace faultline::vfio_user {
namespace {

constexpr std::uint64_t page = 4096;

// BAR0 is memory of which a part may be mapped, BAR2 is 64 registers, and the ROM counts.
class Fake : public Device {
 public:
  void read(unsigned region, std::uint64_t offset, std::span<std::byte> out) override {
    ASSERT_LE(offset + out.size(), region == 2 ? 256u : 512u);
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = region == 2 ? registers[offset + i] : std::byte{static_cast<unsigned char>(offset + i)};
  }
  void write(unsigned region, std::uint64_t offset, std::span<const std::byte> in) override {
    ASSERT_EQ(region, 2u);
    ASSERT_LE(offset + in.size(), registers.size());
    std::copy(in.begin(), in.end(), registers.begin() + offset);
  }
  void reset() override { registers = {}; }

  std::array<std::byte, 256> registers{};
};

class VfioUser : public testing::Test {
 protected:
  VfioUser() : server_(layout(), fake_), thread_(server_), client_(thread_.take_client()) {}
  Layout layout() {
    Layout layout;
    layout.identity = {.vendor = 0x1234, .device = 0x5678, .class_code = 0x038000};
    layout.regions[0] = {.size = 4 * page,
                         .wide = true,
                         .prefetchable = true,
                         .fd = memory_.fd(),
                         .memory = {memory_.at(0), memory_.size()},
                         .areas = {{page, page}, {3 * page, page}}};
    layout.regions[2] = {.size = 256};
    layout.regions[6] = {.size = 512, .writable = false};
    return layout;
  }
  void SetUp() override { ASSERT_EQ(client_.negotiate(), 0); }
  // A command with a payload that is cut or padded to a size.
  int ask_sized(Command command, std::span<const std::byte> payload, std::size_t size) {
    std::vector<std::byte> sized(payload.begin(), payload.end());
    sized.resize(size);
    return client_.ask(command, sized);
  }

  Fake fake_;
  TestMemory memory_{4 * page}, ram_{8 * page};
  Server server_;
  TestServer thread_;
  TestClient client_;
};

TEST_F(VfioUser, AgreesOnAVersionOnce) {
  const auto text = reinterpret_cast<const char*>(client_.reply().payload.data()) + 4;
  EXPECT_NE(std::string(text).find(R"("write_multiple":true)"), std::string::npos);
  EXPECT_NE(std::string(text).find(R"("max_msg_fds":8)"), std::string::npos);
  EXPECT_EQ(client_.negotiate(), EINVAL);
}

class NewClient : public VfioUser {
  void SetUp() override {}
};

TEST_F(NewClient, HasToNegotiateFirst) {
  EXPECT_EQ(client_.ask(Command::reset), EINVAL);
  EXPECT_EQ(client_.negotiate("{"), EINVAL);
  EXPECT_EQ(client_.negotiate("[]"), EINVAL);
  EXPECT_EQ(client_.negotiate(R"({"capabilities":3})"), EINVAL);
  EXPECT_EQ(client_.negotiate(std::string(100000, '[')), EINVAL);
  const std::byte unterminated[]{{}, {}, {}, {}, std::byte{'{'}, std::byte{'}'}};
  EXPECT_EQ(client_.ask(Command::version, unterminated), EINVAL);
  const std::uint16_t later[2]{1, 0};
  EXPECT_EQ(client_.ask(Command::version, bytes_of(later)), ENOTSUP);
  EXPECT_EQ(client_.ask(Command::version), EINVAL);
  const std::uint16_t newer[2]{0, 7};
  EXPECT_EQ(client_.ask(Command::version, bytes_of(newer)), 0);
  EXPECT_EQ(client_.reply_head<std::uint32_t>(), minor_version << 16) << "ours, which is lower";
}

TEST_F(VfioUser, DescribesTheDevice) {
  const std::uint32_t info[4]{16};
  ASSERT_EQ(client_.ask(Command::get_info, bytes_of(info)), 0);
  const auto got = client_.reply_head<std::array<std::uint32_t, 4>>();
  EXPECT_EQ(got, (std::array<std::uint32_t, 4>{16, 3, 9, 5}));
  const std::uint32_t small[4]{15};
  EXPECT_EQ(client_.ask(Command::get_info, bytes_of(small)), EINVAL);
  EXPECT_EQ(ask_sized(Command::get_info, bytes_of(info), 12), EINVAL);
}

TEST_F(VfioUser, DescribesRegions) {
  ASSERT_EQ(client_.region_info(2), 0);
  auto info = client_.reply_head<vfio_region_info>();
  EXPECT_EQ(info.size, 256u);
  EXPECT_EQ(info.flags, 3u);
  EXPECT_TRUE(client_.reply().descriptors.empty());
  ASSERT_EQ(client_.region_info(6), 0);
  EXPECT_EQ(client_.reply_head<vfio_region_info>().flags, 1u);
  ASSERT_EQ(client_.region_info(3), 0);
  EXPECT_EQ(client_.reply_head<vfio_region_info>().size, 0u);
  ASSERT_EQ(client_.region_info(7), 0);
  EXPECT_EQ(client_.reply_head<vfio_region_info>().size, 4096u);
  EXPECT_EQ(client_.region_info(9), EINVAL);
  EXPECT_EQ(client_.region_info(0xffffffff), EINVAL);
  EXPECT_EQ(client_.region_info(0, 31), EINVAL);
}

TEST_F(VfioUser, GivesAreasThatMayBeMapped) {
  ASSERT_EQ(client_.region_info(0, 32), 0) << "as QEMU asks first";
  auto info = client_.reply_head<vfio_region_info>();
  EXPECT_EQ(info.argsz, 32 + 16 + 2 * 16u);
  EXPECT_EQ(info.cap_offset, 0u);
  EXPECT_EQ(client_.reply().payload.size(), 32u);
  ASSERT_EQ(client_.region_info(0, info.argsz), 0);
  info = client_.reply_head<vfio_region_info>();
  EXPECT_EQ(info.flags, 15u);
  ASSERT_EQ(info.cap_offset, 32u);
  ASSERT_EQ(client_.reply().payload.size(), info.argsz);
  std::uint64_t words[4];
  std::memcpy(words, client_.reply().payload.data() + 48, sizeof words);
  EXPECT_EQ(words[0], page);
  EXPECT_EQ(words[2], 3 * page);
  EXPECT_EQ(client_.reply().descriptors.size(), 1u);
}

TEST_F(VfioUser, ReadsAndWritesRegions) {
  EXPECT_EQ(client_.write32(2, 8, 0x01020304), 0);
  EXPECT_EQ(client_.read32(2, 8), 0x01020304u);
  EXPECT_EQ(client_.write32(2, 12, 5, true), 0) << "posted";
  EXPECT_EQ(client_.read32(2, 12), 5u);
  EXPECT_EQ(client_.write64(0, 16, 7), 0);
  EXPECT_EQ(memory_.load64(16), 7u);
  EXPECT_EQ(client_.read32(6, 4), 0x07060504u);
  EXPECT_EQ(client_.ask(Command::reset), 0);
  EXPECT_EQ(client_.read32(2, 8), 0u);
}

TEST_F(VfioUser, RefusesAccessesOutsideOfRegions) {
  EXPECT_EQ(client_.write32(2, 254, 0), EINVAL);
  EXPECT_EQ(client_.write32(2, 256, 0), EINVAL);
  EXPECT_EQ(client_.write32(2, ~0ull - 1, 0), EINVAL) << "the sum overflows";
  EXPECT_EQ(client_.write32(1, 0, 0), EINVAL) << "there is none";
  EXPECT_EQ(client_.write32(8, 0, 0), EINVAL);
  EXPECT_EQ(client_.write32(~0u, 0, 0), EINVAL);
  EXPECT_EQ(client_.write32(6, 0, 0), EPERM);
  EXPECT_EQ(client_.write32(7, 4094, 0), EINVAL);
  EXPECT_EQ(client_.write32(0, 4 * page - 2, 0), EINVAL);
  for (const std::uint32_t count : {0u, most_data + 1, ~0u}) {
    const Access access{0, 0, count};
    EXPECT_EQ(client_.ask(Command::region_read, bytes_of(access)), EINVAL) << count;
    EXPECT_EQ(client_.ask(Command::region_write, bytes_of(access)), EINVAL) << count;
  }
  const Access access{0, 2, 4};
  EXPECT_EQ(ask_sized(Command::region_write, bytes_of(access), 16 + 3), EINVAL) << "less than it says";
  EXPECT_EQ(ask_sized(Command::region_write, bytes_of(access), 16 + 5), EINVAL);
  EXPECT_EQ(ask_sized(Command::region_read, bytes_of(access), 15), EINVAL);
  EXPECT_EQ(ask_sized(Command::region_write, bytes_of(access), 16 + 4), 0) << "and this is how it is right";
}

TEST_F(VfioUser, WritesManyAtOnce) {
  struct {
    std::uint64_t count = 2;
    SmallWrite writes[2]{{{0, 2, 4}, {std::byte{1}}}, {{8, 2, 8}, {std::byte{2}}}};
  } good, bad, many;
  EXPECT_EQ(client_.ask(Command::region_write_multi, bytes_of(good)), 0);
  EXPECT_EQ(client_.reply_head<std::uint64_t>(), 2u);
  EXPECT_EQ(client_.read32(2, 0), 1u);
  EXPECT_EQ(client_.read32(2, 8), 2u);
  bad.writes[0].data[0] = std::byte{9};
  bad.writes[1].where.count = 9;
  EXPECT_EQ(client_.ask(Command::region_write_multi, bytes_of(bad)), EINVAL);
  EXPECT_EQ(client_.read32(2, 0), 1u) << "all or none";
  for (const std::uint64_t count : {0ull, 1ull, 3ull, ~0ull, (1ull << 61) + 2}) {
    many.count = count;
    EXPECT_EQ(client_.ask(Command::region_write_multi, bytes_of(many)), EINVAL) << count;
  }
}

TEST_F(VfioUser, MapsMemoryForTheDevice) {
  ram_.store32(page, 77);
  ASSERT_EQ(client_.map(0x10000, 2 * page, ram_.fd(), page), 0);
  ASSERT_EQ(client_.map(0x20000, page, ram_.fd(), 0, 1), 0) << "to read";
  ASSERT_EQ(client_.map(0x30000, page, -1), 0) << "without a descriptor";
  ASSERT_EQ(client_.unmap(0x99000, page), ENOENT) << "and so all above is done";
  DmaMap& dma = server_.dma();
  ASSERT_NE(dma.at(0x10000, 4, true), nullptr);
  EXPECT_EQ(load_shared<std::uint32_t>(dma.at(0x10000, 4, false)), 77u);
  EXPECT_NE(dma.at(0x10000, 2 * page, true), nullptr);
  EXPECT_EQ(dma.at(0x10000, 2 * page + 1, true), nullptr);
  EXPECT_EQ(dma.at(0x11ffd, 4, false), nullptr);
  EXPECT_EQ(dma.at(0xfffc, 8, false), nullptr);
  EXPECT_EQ(dma.at(0x12000, ~0ull, false), nullptr);
  EXPECT_NE(dma.at(0x20000, 4, false), nullptr);
  EXPECT_EQ(dma.at(0x20000, 4, true), nullptr);
  EXPECT_EQ(dma.at(0x30000, 4, false), nullptr);
  EXPECT_EQ(client_.unmap(0x10000, page), ENOENT) << "not what was mapped";
  EXPECT_EQ(client_.unmap(0x10000, 2 * page, 1), EINVAL) << "no bitmap of dirty pages";
  EXPECT_EQ(client_.unmap(0x10000, 2 * page), 0);
  EXPECT_EQ(dma.at(0x10000, 4, false), nullptr);
  EXPECT_EQ(client_.unmap(0, 0, VFIO_DMA_UNMAP_FLAG_ALL), 0);
  EXPECT_EQ(dma.count(), 0u);
}

TEST_F(VfioUser, RefusesBadMappings) {
  ASSERT_EQ(client_.map(0x10000, 2 * page, ram_.fd()), 0);
  EXPECT_EQ(client_.map(0x11000, page, ram_.fd()), EEXIST);
  EXPECT_EQ(client_.map(0xf000, 2 * page, ram_.fd()), EEXIST);
  EXPECT_EQ(client_.map(0x10000, 0, ram_.fd()), EINVAL);
  EXPECT_EQ(client_.map(0x40001, page, ram_.fd()), EINVAL);
  EXPECT_EQ(client_.map(0x40000, 100, ram_.fd()), EINVAL);
  EXPECT_EQ(client_.map(0x40000, page, ram_.fd(), 1), EINVAL);
  EXPECT_EQ(client_.map(~0ull << 12, 2 * page, ram_.fd()), EINVAL) << "the sum overflows";
  EXPECT_EQ(client_.map(~0ull << 12, page, ram_.fd()), 0) << "the last page";
  EXPECT_EQ(client_.map(0x40000, 16 * page, ram_.fd()), EINVAL) << "more than the file has";
  EXPECT_EQ(client_.map(0x40000, page, ram_.fd(), 8 * page), EINVAL);
  EXPECT_EQ(client_.map(0x40000, page, ram_.fd(), ~0ull << 12), EINVAL);
  const Descriptor event(eventfd(0, 0));
  EXPECT_EQ(client_.map(0x40000, page, event.get()), EINVAL) << "no memory";
  const DmaMapRequest request{32, 3, 0, 0x40000, page};
  const int two[]{ram_.fd(), ram_.fd()};
  EXPECT_EQ(client_.ask(Command::dma_map, bytes_of(request), two), EINVAL);
  EXPECT_EQ(ask_sized(Command::dma_map, bytes_of(request), 31), EINVAL);
  EXPECT_EQ(client_.unmap(0x10000, 0, VFIO_DMA_UNMAP_FLAG_ALL), EINVAL);
  EXPECT_EQ(ask_sized(Command::dma_unmap, bytes_of(request), 8), EINVAL);
}

TEST_F(VfioUser, SignalsMsi) {
  const Descriptor event(eventfd(0, EFD_NONBLOCK));
  std::uint64_t told = 0;
  ASSERT_EQ(client_.listen_for_msi(event.get()), 0);
  SetIrqsRequest request{};
  request.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
  request.index = VFIO_PCI_MSI_IRQ_INDEX;
  request.count = 1;
  EXPECT_EQ(client_.ask(Command::set_irqs, bytes_of(request)), 0);
  EXPECT_EQ(read(event.get(), &told, sizeof told), 8);
  EXPECT_EQ(told, 1u);
  request.count = 0;
  EXPECT_EQ(client_.ask(Command::set_irqs, bytes_of(request)), 0) << "none any more";
  request.count = 1;
  EXPECT_EQ(client_.ask(Command::set_irqs, bytes_of(request)), 0);
  EXPECT_EQ(read(event.get(), &told, sizeof told), -1);
}

TEST_F(VfioUser, RefusesBadInterrupts) {
  const auto set = [&](std::uint32_t flags, std::uint32_t index, std::uint32_t start, std::uint32_t count) {
    SetIrqsRequest request{};
    request.flags = flags;
    request.index = index;
    request.start = start;
    request.count = count;
    return client_.ask(Command::set_irqs, bytes_of(request));
  };
  constexpr std::uint32_t trigger = VFIO_IRQ_SET_ACTION_TRIGGER, none = VFIO_IRQ_SET_DATA_NONE;
  EXPECT_EQ(set(trigger | none, 1, 0, 2), EINVAL);
  EXPECT_EQ(set(trigger | none, 1, 1, 1), EINVAL);
  EXPECT_EQ(set(trigger | none, 1, ~0u, 2), EINVAL);
  EXPECT_EQ(set(trigger | none, 2, 0, 1), EINVAL) << "there is no MSI-X";
  EXPECT_EQ(set(trigger | none, 99, 0, 0), EINVAL);
  EXPECT_EQ(set(trigger, 1, 0, 1), EINVAL);
  EXPECT_EQ(set(none, 1, 0, 1), EINVAL);
  EXPECT_EQ(set(trigger | none | VFIO_IRQ_SET_DATA_BOOL, 1, 0, 1), EINVAL);
  EXPECT_EQ(set(trigger | none | 0x80, 1, 0, 1), EINVAL);
  EXPECT_EQ(set(VFIO_IRQ_SET_ACTION_MASK | none, 1, 0, 1), EINVAL);
  EXPECT_EQ(set(trigger | VFIO_IRQ_SET_DATA_BOOL, 1, 0, 1), EINVAL) << "no booleans follow";
  EXPECT_EQ(client_.ask(Command::set_irqs), EINVAL);
  const std::uint32_t info[4]{16, 0, 5, 0};
  EXPECT_EQ(client_.ask(Command::get_irq_info, bytes_of(info)), EINVAL);
}

TEST_F(VfioUser, IsNotHeldUpByADescriptorThatBlocks) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Descriptor out(ends[0]), in(ends[1]);
  ASSERT_EQ(client_.listen_for_msi(in.get()), 0);
  SetIrqsRequest request{};
  request.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
  request.index = VFIO_PCI_MSI_IRQ_INDEX;
  request.count = 1;
  for (int i = 0; i < 10000; ++i) ASSERT_EQ(client_.ask(Command::set_irqs, bytes_of(request)), 0);
}

TEST_F(VfioUser, HasAConfigurationSpace) {
  EXPECT_EQ(client_.read32(7, 0), 0x56781234u);
  EXPECT_EQ(client_.write32(7, 0, 0), 0);
  EXPECT_EQ(client_.read32(7, 0), 0x56781234u) << "cannot be written";
  EXPECT_EQ(client_.write32(7, PCI_BASE_ADDRESS_0, ~0u), 0);
  EXPECT_EQ(client_.read32(7, PCI_BASE_ADDRESS_0), 0xffffc00cu) << "its size, 64 bits, prefetchable";
  EXPECT_EQ(client_.write32(7, PCI_BASE_ADDRESS_1, ~0u), 0);
  EXPECT_EQ(client_.read32(7, PCI_BASE_ADDRESS_1), ~0u);
  EXPECT_EQ(client_.write32(7, PCI_BASE_ADDRESS_3, ~0u), 0);
  EXPECT_EQ(client_.read32(7, PCI_BASE_ADDRESS_3), 0u) << "there is none";
  const std::uint32_t at = client_.read32(7, PCI_CAPABILITY_LIST) & 0xff;
  EXPECT_EQ(client_.read32(7, at), 0x00800005u) << "MSI, 64 bits, the last capability";
  EXPECT_EQ(client_.write32(7, at, 0x00ff00ff), 0);
  EXPECT_EQ(client_.read32(7, at), 0x00810005u);
  EXPECT_TRUE(server_.config().msi_enabled());
}

TEST_F(VfioUser, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(client_.ask(Command::dirty_pages), ENOTSUP);
  EXPECT_EQ(client_.ask(Command::get_region_io_fds), ENOTSUP);
  EXPECT_EQ(client_.ask(static_cast<Command>(0)), ENOTSUP);
  EXPECT_EQ(client_.ask(static_cast<Command>(0xffff)), ENOTSUP);
  ASSERT_TRUE(client_.send({7, static_cast<std::uint16_t>(Command::reset), 16, flag::reply}));
  EXPECT_EQ(client_.ask(Command::reset), 0) << "a reply was not answered";
}

TEST_F(VfioUser, EndsWhenTheClientIsGone) {
  { TestClient gone(std::move(client_)); }
  EXPECT_EQ(thread_.wait(), Server::End::client_gone);
}

TEST_F(VfioUser, EndsWhereMessagesCannotBeToldApart) {
  ASSERT_TRUE(client_.send({7, static_cast<std::uint16_t>(Command::reset), 15}));
  EXPECT_FALSE(client_.receive());
  EXPECT_EQ(thread_.wait(), Server::End::nonsense);
}

TEST_F(VfioUser, EndsAtAMessageThatIsTooLarge) {
  ASSERT_TRUE(client_.send({7, static_cast<std::uint16_t>(Command::region_write), 0xffffffff}));
  EXPECT_EQ(thread_.wait(), Server::End::nonsense);
}

TEST_F(VfioUser, EndsAtTooManyDescriptors) {
  const std::vector<int> many(most_descriptors, ram_.fd());
  const Header header{7, static_cast<std::uint16_t>(Command::dma_map), 16 + 8};
  ASSERT_TRUE(client_.send(header, {}, many));
  ASSERT_TRUE(client_.send(header, {}, many)) << "read as the rest of the first";
  EXPECT_EQ(thread_.wait(), Server::End::nonsense);
}

TEST_F(VfioUser, TakesAMessageInPieces) {
  struct {
    Header header{9, static_cast<std::uint16_t>(Command::region_read), 32};
    Access access{0, 2, 4};
  } message;
  for (const std::byte& each : bytes_of(message)) ASSERT_TRUE(client_.send_bytes({&each, 1}));
  const std::optional<Message> reply = client_.receive();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->header.id, 9);
}

}  // namespace
}  // namespace faultline::vfio_user
