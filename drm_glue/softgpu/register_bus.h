// The registers, as an engine of the GPU reads and writes them.
#pragma once

#include <cstdint>

namespace faultline::softgpu {

class RegisterBus {
 public:
  virtual ~RegisterBus() = default;
  virtual std::uint32_t read_register(unsigned offset) = 0;
  virtual void write_register(unsigned offset, std::uint32_t value) = 0;
};

}  // namespace faultline::softgpu
