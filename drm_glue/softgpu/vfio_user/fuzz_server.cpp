// libFuzzer target. Whatever messages a client sends, with files or without, no access gets beyond the device's regions and what
// the client has mapped, and each reply is whole.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "drm_glue/softgpu/vfio_user/server.h"

namespace {

using namespace faultline::vfio_user;

constexpr std::uint64_t page = 4096, region_bytes = 256, memory_bytes = 4 * page, file_bytes = 8 * page;
constexpr unsigned trapped = 2, read_only = 6, mapped = 0;

void require(bool good) {
  if (!good) std::abort();
}

class Strict : public Device {
 public:
  void read(unsigned region, std::uint64_t offset, std::span<std::byte> out) override { check(region, offset, out.size()); }
  void write(unsigned region, std::uint64_t offset, std::span<const std::byte> in) override {
    require(region != read_only);
    check(region, offset, in.size());
  }
  void reset() override {}

 private:
  static void check(unsigned region, std::uint64_t offset, std::size_t size) {
    require(region == trapped || region == read_only);
    require(size <= region_bytes && offset <= region_bytes - size);
  }
};

int file(std::uint64_t bytes) {
  const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  require(fd >= 0 && ftruncate(fd, static_cast<off_t>(bytes)) == 0);
  return fd;
}

// The input, taken from its front; zeros after its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}
  bool empty() const { return bytes_.empty(); }
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const std::uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }
  std::vector<std::byte> take(std::size_t count) {
    const auto part = std::as_bytes(bytes_.first(std::min(count, bytes_.size())));
    bytes_ = bytes_.subspan(part.size());
    return {part.begin(), part.end()};
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int vram = file(memory_bytes), ram = file(file_bytes);
  static auto* const memory = static_cast<std::byte*>(mmap(nullptr, memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vram, 0));
  require(memory != MAP_FAILED);
  Strict device;
  Layout layout;
  layout.regions[mapped] = {.size = memory_bytes, .wide = true, .fd = vram, .memory = {memory, memory_bytes}};
  layout.regions[trapped] = {.size = region_bytes};
  layout.regions[read_only] = {.size = region_bytes, .writable = false};
  Server server(layout, device);
  Input input(data, size);
  if (input.byte() % 8) {  // mostly one that has agreed on a version
    Message hello;
    hello.header.command = static_cast<std::uint16_t>(Command::version);
    hello.payload.resize(4);
    require(server.handle(std::move(hello)).has_value());
  }
  while (!input.empty()) {
    Message message;
    message.header = {input.byte(), input.byte(), 0, input.byte(), 0};
    const std::uint8_t descriptors = input.byte(), words = input.byte();
    message.payload = input.take(words & 0x80 ? std::size_t{words & 0x7fu} * 64 : words);
    for (unsigned i = 0; i < descriptors % 4u; ++i) message.descriptors.emplace_back(dup(ram));
    const std::optional<Reply> reply = server.handle(std::move(message));
    if (reply) require(reply->header.size == sizeof(Header) + reply->payload.size() && reply->header.size <= most_bytes);
    // What is mapped can be accessed to its end, and no further.
    for (const std::uint64_t address : {std::uint64_t{0}, page, std::uint64_t{1} << 32}) {
      for (const std::uint64_t bytes : {page, file_bytes}) {
        std::byte* at = server.dma().at(address, bytes, true);
        if (at) std::memset(at, 1, bytes);
      }
      require(!server.dma().at(address, file_bytes + 1, false));
    }
  }
  return 0;
}
