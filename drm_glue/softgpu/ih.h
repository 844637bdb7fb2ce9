// IH: interrupts as vectors in a ring, of which the driver is told by MSI.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "drm_glue/softgpu/log.h"
#include "drm_glue/softgpu/memory.h"
#include "drm_glue/softgpu/registers.h"
#include "drm_glue/softgpu/weather.h"

namespace faultline::softgpu {

struct Vector {
  std::uint8_t client = 0, source = 0, ring = 0, vmid = 0;
  std::uint16_t pasid = 0;
  std::uint32_t data[2]{};
};

namespace ih_client {
inline constexpr std::uint8_t sdma0 = 0x08, sdma1 = 0x09, vmc = 0x12, grbm_cp = 0x14, utcl2 = 0x1b;
}

class Ih {
 public:
  // Where the ring is in a GPU address, `gpu_address` finds it (VMID 0).
  using GpuAddress = std::function<std::optional<Physical>(std::uint64_t)>;
  Ih(RegisterFile& registers, const Memory& memory, const Time& time, Weather& weather, Log& log, std::function<void()> msi)
      : registers_(registers), memory_(memory), time_(time), weather_(weather), log_(log), msi_(std::move(msi)) {}
  void set_gpu_address(GpuAddress gpu_address) { gpu_address_ = std::move(gpu_address); }

  // Told when `delay` has passed. Vectors of different delays overtake each other.
  void post(const Vector& vector, nanoseconds delay = nanoseconds(0));
  // What waits now is told before what is posted from here on: the hub's faults go through a queue, and those of an access that
  // has ended are in it already.
  void settle();
  std::optional<nanoseconds> run();  // when more is due

  bool write(unsigned offset, std::uint32_t value);  // whether the register is one of this block
  bool doorbell(std::uint64_t offset, std::uint32_t value);
  void reset() { waiting_.clear(), settled_ = nanoseconds(0); }

  static constexpr std::uint32_t vector_bytes = 32;
  static constexpr std::size_t most_waiting = 65536;

 private:
  struct Waiting {
    nanoseconds due;
    Vector vector;
  };
  void tell(const Vector& vector);
  void write_back();
  void set_rptr(std::uint32_t value);
  std::uint32_t ring_bytes() const;
  std::byte* at(std::uint64_t address, std::uint64_t size) const;

  RegisterFile& registers_;
  const Memory& memory_;
  const Time& time_;
  Weather& weather_;
  Log& log_;
  std::function<void()> msi_;
  GpuAddress gpu_address_;
  std::vector<Waiting> waiting_;
  nanoseconds settled_{0};  // nothing is told before then that is posted now
};

}  // namespace faultline::softgpu
