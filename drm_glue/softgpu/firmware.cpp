#include "drm_glue/softgpu/firmware.h"

#include <errno.h>

#include <filesystem>
#include <fstream>
#include <system_error>

namespace faultline::softgpu {
namespace {

constexpr std::uint32_t code_bytes = 64;
// Old enough for no workaround: the driver compares versions (gfx_v9_0_check_fw_write_wait()).
constexpr std::uint32_t gfx_version = 0x1b0, gfx_feature = 50, sdma_version = 145, sdma_feature = 20;

class File {
 public:
  void word(std::uint32_t value) {
    for (int i = 0; i < 4; ++i) bytes_.push_back(static_cast<std::uint8_t>(value >> 8 * i));
  }
  // struct common_firmware_header (amdgpu_ucode.h) of a file whose whole header has that many words.
  void common(std::uint32_t header_words, std::uint32_t major, std::uint32_t version) {
    word(4 * header_words + code_bytes);
    word(4 * header_words);
    word(major);  // minor 0
    word(4 | 2 << 16);
    word(version);
    word(code_bytes);
    word(4 * header_words);
    word(0);  // the checksum, which nothing looks at
  }
  std::vector<std::uint8_t> with_code() {
    bytes_.resize(bytes_.size() + code_bytes);
    return std::move(bytes_);
  }

 private:
  std::vector<std::uint8_t> bytes_;
};

// A header of a feature version, and `zeros` words.
std::vector<std::uint8_t> file(std::uint32_t major, std::uint32_t version, std::uint32_t feature, std::uint32_t zeros) {
  File result;
  result.common(8 + 1 + zeros, major, version);
  result.word(feature);
  for (std::uint32_t i = 0; i < zeros; ++i) result.word(0);
  return result.with_code();
}

}  // namespace

std::vector<FirmwareFile> firmware() {
  std::vector<FirmwareFile> result;
  for (const char* each : {"sdma", "sdma1"})
    result.push_back({std::string("vega20_") + each + ".bin", file(1, sdma_version, sdma_feature, 3)});
  for (const char* each : {"pfp", "me", "ce", "mec", "mec2"})
    result.push_back({std::string("vega20_") + each + ".bin", file(1, gfx_version, gfx_feature, 2)});
  result.push_back({"vega20_rlc.bin", file(2, gfx_version, gfx_feature, 18)});  // its lists of registers are empty
  return result;
}

void write_firmware(const std::string& folder) {
  std::filesystem::create_directories(folder);
  for (const FirmwareFile& each : firmware()) {
    const std::string path = folder + "/" + each.name;
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(each.bytes.data()), static_cast<std::streamsize>(each.bytes.size()));
    out.close();
    if (!out) throw std::system_error(errno, std::generic_category(), path);
  }
}

}  // namespace faultline::softgpu
