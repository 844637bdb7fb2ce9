// Firmware files for the driver: headers, and 64 bytes that nothing runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace faultline::softgpu {

struct FirmwareFile {
  std::string name;  // "vega20_sdma.bin"
  std::vector<std::uint8_t> bytes;
};

std::vector<FirmwareFile> firmware();
// Into a folder, which is made. Throws std::system_error.
void write_firmware(const std::string& folder);

}  // namespace faultline::softgpu
