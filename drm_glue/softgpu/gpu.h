// A Vega20 (PCI 1002:66a1, gfx906) below the amdgpu driver: its blocks, and what BARs they answer in.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "drm_glue/softgpu/gfx.h"
#include "drm_glue/softgpu/nbio.h"
#include "drm_glue/softgpu/sdma.h"
#include "drm_glue/softgpu/vfio_user/server.h"

namespace faultline::softgpu {

// VRAM in a file, which the client maps.
class Vram {
 public:
  explicit Vram(std::uint64_t size);  // throws std::system_error
  Vram(const Vram&) = delete;
  Vram& operator=(const Vram&) = delete;
  ~Vram();
  int fd() const { return fd_.get(); }
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  vfio_user::Descriptor fd_;
  std::span<std::byte> bytes_;
};

class Gpu : public vfio_user::Device, private RegisterBus {
 public:
  static constexpr unsigned vram_bar = 0, doorbell_bar = 2, register_bar = 5;
  static constexpr std::uint64_t doorbell_bytes = 2 << 20, register_bytes = register_count * 4;
  static constexpr std::uint64_t least_vram = std::uint64_t{16} << 20, most_vram = std::uint64_t{16} << 30;

  struct Options {
    std::uint64_t vram = std::uint64_t{256} << 20;  // a power of two
    std::uint64_t seed = 0;                         // of the weather; 0 is calm
    std::string log;                                // the path of what it writes down; empty: nothing
    bool flush_with_queue = true;                   // as the firmware of the hardware scheduler does
    Broken broken = Broken::no;
  };
  Gpu(const Options& options, const Time& time);

  vfio_user::Server& server() { return server_; }
  Vram& vram() { return vram_; }
  Log& log() { return log_; }

  // How often the client read and wrote registers and rang doorbells, each a message; and the registers that it read most.
  std::string traffic() const;

  void read(unsigned region, std::uint64_t offset, std::span<std::byte> out) override;
  void write(unsigned region, std::uint64_t offset, std::span<const std::byte> in) override;
  void reset() override;
  std::optional<nanoseconds> run() override;

 private:
  std::uint32_t read_register(unsigned offset) override;
  void write_register(unsigned offset, std::uint32_t value) override;
  void doorbell(std::uint64_t offset, std::uint64_t value, std::size_t bytes);
  static vfio_user::Layout layout(const Vram& vram);

  const Time& time_;
  Log log_;
  Weather weather_;
  Vram vram_;
  std::vector<std::uint8_t> rom_;
  vfio_user::Server server_;
  Memory memory_;
  RegisterFile registers_;
  Ih ih_;
  VmHub mmhub_, gfxhub_;
  Nbio nbio_;
  Gfx gfx_;
  Sdma sdma_;
  std::vector<std::uint32_t> reads_ = std::vector<std::uint32_t>(register_count);  // of each register; the log names it once
  std::vector<std::uint32_t> writes_ = std::vector<std::uint32_t>(register_count);
  std::uint64_t doorbells_ = 0;
};

}  // namespace faultline::softgpu
