// GFX: the command processors, as far as the driver's initialisation, KIQ and TLB flushes need them. No shader runs.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "drm_glue/softgpu/register_bus.h"
#include "drm_glue/softgpu/virtual_memory.h"

namespace faultline::softgpu {

struct GfxParts {
  RegisterFile& registers;
  RegisterBus& bus;
  VmHub& gfxhub;
  VmHub& mmhub;
  const Memory& memory;
  Ih& ih;
  const Time& time;
  Weather& weather;
  Log& log;
};

class Gfx {
 public:
  explicit Gfx(const GfxParts& parts) : parts_(parts), memory_(parts.gfxhub, parts.memory, parts.log, 0) {}

  std::optional<nanoseconds> run();
  bool doorbell(std::uint64_t offset, std::uint64_t value, std::size_t bytes);
  // Registers of a hardware queue (HQD) are those of the one that GRBM_GFX_CNTL selects.
  bool owns(unsigned offset) const;
  std::uint32_t read(unsigned offset);
  void write(unsigned offset, std::uint32_t value);
  void reset();

 private:
  static constexpr unsigned first = gc::CP_MQD_BASE_ADDR, last = gc::CP_HQD_PQ_WPTR_HI;
  struct Hqd {
    std::array<std::uint32_t, last - first + 1> registers{};
    std::uint64_t rptr = 0;
    nanoseconds ready{0};  // it is not looked at before
    std::uint32_t& reg(unsigned offset) { return registers[offset - first]; }
    std::uint64_t pair(unsigned low, unsigned high) { return reg(low) | std::uint64_t{reg(high)} << 32; }
  };
  struct Where {  // whose packet it is
    std::uint8_t ring = 0;
    unsigned vmid = 0;
  };
  using Words = std::span<const std::uint32_t>;

  Hqd& selected();
  nanoseconds after_doorbell() const;
  // When it is to be looked at again; none: at the next doorbell.
  std::optional<nanoseconds> run_gfx_ring();
  std::optional<nanoseconds> run_queue(unsigned key, Hqd& queue);
  std::optional<nanoseconds> again(bool waits) const;
  // Of a ring of `size` words at `base`. Where the read pointer is then.
  std::uint64_t run_ring(std::uint64_t base, std::uint64_t size, std::uint64_t rptr, std::uint64_t wptr, Where where);

  // Packets (pm4.cpp). Words that were taken; 0: it waits.
  std::uint32_t execute(Words words, Where where, unsigned depth);
  bool wait_reg_mem(Words words, Where where);
  void write_data(Words words, Where where);
  void copy_data(Words words, Where where);
  void release_mem(Words words, Where where);
  void indirect(Words words, Where where, unsigned depth);
  void map_queue(Words words);
  void unmap_queue(Words words);
  template <class T>
  void store(unsigned vmid, std::uint64_t address, const T& value);
  template <class T>
  T load(unsigned vmid, std::uint64_t address);

  GfxParts parts_;
  VirtualMemory memory_;
  std::map<unsigned, Hqd> queues_;  // by what GRBM_GFX_CNTL selects
  std::uint64_t gfx_rptr_ = 0, gfx_wptr_ = 0;
  nanoseconds gfx_ready_{0};
  std::uint64_t ib_words_left_ = 0;
  std::set<std::uint8_t> written_;  // rings that have written a register, and wait for another
};

}  // namespace faultline::softgpu
