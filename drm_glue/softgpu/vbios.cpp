#include "drm_glue/softgpu/vbios.h"

#include <string_view>

#include "drm_glue/softgpu/registers.h"

namespace faultline::softgpu {
namespace {

// Where things lie: the first ones have fixed places (atom.h), the others are named by them.
constexpr std::size_t entry = 3, pcir_pointer = 0x18, magic = 0x30, rom_header_pointer = 0x48, date = 0x50, part_number = 0x80;
constexpr std::size_t rom_header = 0x100, data_tables = 0x140, pcir = 0x1c0, firmware_info = 0x200, command_tables = 0x280,
                      gfx_info = 0x380;
constexpr unsigned firmware_info_index = 4, gfx_info_index = 14;  // in the list of data tables (atomfirmware.h)

class Image {
 public:
  void put(std::size_t at, std::uint64_t value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) bytes_[at + i] = static_cast<std::uint8_t>(value >> 8 * i);
  }
  void put(std::size_t at, std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) bytes_[at + i] = static_cast<std::uint8_t>(text[i]);
  }
  void table(std::size_t at, std::uint16_t bytes, std::uint8_t format, std::uint8_t content) {
    put(at, bytes, 2);
    put(at + 2, format, 1);
    put(at + 3, content, 1);
  }
  // So that all bytes add up to 0.
  std::vector<std::uint8_t> take() {
    std::uint8_t sum = 0;
    for (const std::uint8_t each : bytes_) sum = static_cast<std::uint8_t>(sum + each);
    bytes_.back() = static_cast<std::uint8_t>(bytes_.back() - sum);
    return std::move(bytes_);
  }

 private:
  std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(vbios_bytes);
};

}  // namespace

std::vector<std::uint8_t> vbios() {
  Image image;
  image.put(0, 0xaa55, 2);
  image.put(2, vbios_bytes / 512, 1);
  image.put(entry, 0xcb, 1);  // the machine's firmware calls it, as the sum is right: a far return
  image.put(pcir_pointer, pcir, 2);
  image.put(magic, " 761295520");
  image.put(rom_header_pointer, rom_header, 2);
  image.put(date, "01/01/26 00:00");
  image.put(part_number, "SOFTGPU");

  image.put(pcir, "PCIR");
  image.put(pcir + 0x4, amd_vendor, 2);
  image.put(pcir + 0x6, vega20_device, 2);
  image.put(pcir + 0xa, 0x18, 2);  // its size
  image.put(pcir + 0x10, vbios_bytes / 512, 2);
  image.put(pcir + 0x15, 0x80, 1);  // the last image

  image.table(rom_header, 0x24, 2, 1);
  image.put(rom_header + 0x4, "ATOM");
  image.put(rom_header + 0x1e, command_tables, 2);
  image.put(rom_header + 0x20, data_tables, 2);
  image.table(data_tables, 0x4c, 2, 1);
  image.put(data_tables + 4 + 2 * firmware_info_index, firmware_info, 2);
  image.put(data_tables + 4 + 2 * gfx_info_index, gfx_info, 2);
  image.table(command_tables, 0x100, 2, 1);  // all of them none

  image.table(firmware_info, 0x58, 3, 1);
  image.put(firmware_info + 0x4, 1, 4);        // revision
  image.put(firmware_info + 0x8, 100'000, 4);  // engine clock, 10 kHz
  image.put(firmware_info + 0xc, 100'000, 4);  // memory clock
  image.put(firmware_info + 0x18, nbio::BIOS_SCRATCH_0, 4);

  image.table(gfx_info, 0x48, 2, 4);
  image.put(gfx_info + 6, 4, 1);     // shader engines
  image.put(gfx_info + 8, 16, 1);    // compute units of each
  image.put(gfx_info + 9, 1, 1);     // shader arrays of each
  image.put(gfx_info + 10, 4, 1);    // backends of each
  image.put(gfx_info + 11, 16, 1);   // texture channel caches
  image.put(gfx_info + 48, 256, 2);  // general purpose registers
  image.put(gfx_info + 54, 64, 2);   // wave front
  image.put(gfx_info + 56, 10, 2);   // waves of a SIMD
  image.put(gfx_info + 58, 64, 2);   // LDS, KiB
  image.put(gfx_info + 60, 32, 1);
  image.put(gfx_info + 61, 32, 1);
  image.put(gfx_info + 62, 1, 1);
  image.put(gfx_info + 63, 32, 1);
  return image.take();
}

}  // namespace faultline::softgpu
