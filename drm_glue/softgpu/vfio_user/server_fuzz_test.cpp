// Random messages, most of them nearly right, must neither crash the server nor get beyond its checks.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "drm_glue/softgpu/vfio_user/test_client.h"

namespace faultline::vfio_user {
namespace {

constexpr std::uint64_t page = 4096;

class Strict : public Device {
 public:
  void read(unsigned region, std::uint64_t offset, std::span<std::byte> out) override { check(region, offset, out.size()); }
  void write(unsigned region, std::uint64_t offset, std::span<const std::byte> in) override { check(region, offset, in.size()); }
  void reset() override {}
  void check(unsigned region, std::uint64_t offset, std::size_t size) {
    ++accesses;
    ASSERT_TRUE(region == 2 || region == 6);
    ASSERT_LE(size, 256u);
    ASSERT_LE(offset, 256u - size);
  }
  std::uint64_t accesses = 0;
};

// Numbers at which checks go wrong.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  std::uint64_t below(std::uint64_t end) { return random_() % end; }
  std::uint64_t edge() {
    static constexpr std::uint64_t edges[]{0,    1,        2,       4,         8,          16,         255,        256,
                                           page, 2 * page, 0x10000, most_data, 1ull << 31, 1ull << 32, 1ull << 63, ~0ull};
    return edges[below(std::size(edges))] + below(3) - 1;
  }
  std::uint64_t small() { return below(4) ? below(10) : edge(); }

 private:
  std::mt19937_64 random_;
};

TEST(VfioUserFuzz, NothingGetsBeyondTheChecks) {
  TestMemory memory(4 * page), ram(8 * page);
  Strict device;
  Layout layout;
  layout.regions[0] = {.size = 4 * page, .wide = true, .fd = memory.fd(), .memory = {memory.at(0), memory.size()}};
  layout.regions[2] = {.size = 256};
  layout.regions[6] = {.size = 256, .writable = false};
  std::uint64_t refused = 0, done = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    Server server(layout, device);
    Draw draw(seed);
    for (int i = 0; i < 500; ++i) {
      Message message;
      message.header = {0, static_cast<std::uint16_t>(i == 0 ? 1 : draw.below(18)), 0,
                        static_cast<std::uint32_t>(draw.below(16) ? 0 : draw.edge())};
      std::uint64_t words[8];
      for (std::uint64_t& word : words) word = draw.below(2) ? draw.small() | draw.small() << 32 : draw.edge();
      if (draw.below(2)) words[1] = (draw.below(10)) | draw.below(9) << 32;  // a region and a size
      if (draw.below(2)) words[0] = draw.below(300);
      std::size_t size = draw.below(4) ? 16 + 8 * draw.below(4) : draw.below(sizeof words + 1);
      if (i == 0) words[0] = 0, size = 4;
      if ((message.header.command == 9 || message.header.command == 10) && draw.below(4)) {  // nearly right
        words[0] = draw.below(270);
        words[1] = 2 + 4 * draw.below(2) + (draw.below(9) << 32);
        size = 16 + (message.header.command == 10 ? words[1] >> 32 : 0);
      }
      message.payload.resize(size);
      if (size) std::memcpy(message.payload.data(), words, size);
      for (std::uint64_t each = draw.below(3); each > 0; --each) message.descriptors.emplace_back(dup(ram.fd()));
      const std::optional<Reply> reply = server.handle(std::move(message));
      if (!reply) continue;
      ASSERT_EQ(reply->header.size, sizeof(Header) + reply->payload.size());
      (reply->header.flags & flag::error ? refused : done)++;
    }
  }
  EXPECT_GT(refused, 1000u);
  EXPECT_GT(done, 1000u) << "most of it was refused: this tests little";
  EXPECT_GT(device.accesses, 100u);
}

TEST(VfioUserFuzz, RandomBytesOverASocket) {
  TestMemory memory(page);
  Strict device;
  Layout layout;
  layout.regions[2] = {.size = 256};
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Server server(layout, device);
    TestServer thread(server);
    TestClient client(thread.take_client());
    Draw draw(seed);
    ASSERT_EQ(client.negotiate(), 0);
    std::vector<std::byte> bytes(draw.below(2000));
    for (std::byte& each : bytes) each = std::byte{static_cast<unsigned char>(draw.below(4) ? draw.below(20) : draw.below(256))};
    client.send_bytes(bytes);
  }
}

}  // namespace
}  // namespace faultline::vfio_user
