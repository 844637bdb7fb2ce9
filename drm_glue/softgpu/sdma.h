// SDMA: two engines, each with a GFX and a PAGE queue of the driver, and eight RLC queues of processes. A queue that has
// faulted, or that polls, waits; the others go on.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "drm_glue/softgpu/register_bus.h"
#include "drm_glue/softgpu/virtual_memory.h"

namespace faultline::softgpu {

// What the parts of an engine work with.
struct SdmaParts {
  RegisterFile& registers;
  RegisterBus& bus;
  VmHub& hub;
  const Memory& memory;
  Ih& ih;
  const Time& time;
  Weather& weather;
  Log& log;
  bool flush_with_queue = false;  // a process's queue that is taken away takes the translations of its VMID with it
};

class SdmaQueue {
 public:
  static constexpr unsigned gfx = 0, page = 1, count = 10;  // then RLC0 to RLC7

  SdmaQueue(const SdmaParts& parts, unsigned engine, unsigned index);

  // Does some of what is due. When more is.
  std::optional<nanoseconds> run();
  bool doorbell(std::uint64_t offset, std::uint64_t value, std::size_t bytes);
  bool owns(unsigned offset) const { return offset >= base_ && offset < base_ + stride; }
  std::uint32_t read(unsigned offset) const;
  void write(unsigned offset, std::uint32_t value);
  void reset();
  bool faulting() const { return faulting_; }

  static constexpr unsigned stride = sdma0::SDMA0_PAGE_RB_CNTL - sdma0::SDMA0_GFX_RB_CNTL;

 private:
  // What became of a packet: it took so many words; or it waits, for a fault or what it polls; or a part of it is done.
  struct Outcome {
    enum class Kind { done, faulted, polls, partly, cut } kind = Kind::done;
    std::uint32_t words = 0;
    std::optional<Fault> fault;
    nanoseconds pause{0};
  };
  static Outcome done(std::uint32_t words) { return {Outcome::Kind::done, words, std::nullopt, {}}; }
  static Outcome after(std::uint32_t words, const std::optional<Fault>& fault);

  void take_doorbell(std::uint64_t wptr);
  Outcome step();
  Outcome step_of_ring();
  Outcome step_of_ib();
  Outcome fetch_ib();
  void finish(std::uint32_t words);  // of the ring
  std::optional<Fault> read_ring(std::uint64_t rptr, std::span<std::uint32_t> words);
  void wait_for(const Fault& fault);

  // Packets (sdma_packets.cpp): the words of one and what follows it.
  using Words = std::span<const std::uint32_t>;
  static std::uint32_t length(Words words);  // of the packet; 0: not known
  Outcome execute(Words words, unsigned vmid);
  Outcome copy(Words words, unsigned vmid);
  Outcome write_data(Words words, unsigned vmid);
  Outcome fill(Words words, unsigned vmid);
  Outcome indirect(Words words, unsigned vmid);
  Outcome trap(Words words, unsigned vmid);
  Outcome poll(Words words, unsigned vmid);
  Outcome conditional(Words words, unsigned vmid);
  Outcome atomic(Words words, unsigned vmid);
  Outcome entries(Words words, unsigned vmid);
  Outcome timestamp(Words words, unsigned vmid);
  Outcome register_write(Words words, unsigned vmid);
  void look_ahead(unsigned vmid, std::uint64_t address, std::uint64_t bytes, bool write);

  std::uint32_t& reg(unsigned of_gfx) const { return parts_.registers[base_ + (of_gfx - sdma0::SDMA0_GFX_RB_CNTL)]; }
  std::uint64_t pair(unsigned low, unsigned high) const { return reg(low) | std::uint64_t{reg(high)} << 32; }
  bool enabled() const;
  unsigned ring_vmid() const { return sdma0::SDMA0_GFX_RB_CNTL__RB_VMID.of(reg(sdma0::SDMA0_GFX_RB_CNTL)); }
  std::uint64_t ring_words() const {
    return std::uint64_t{1} << sdma0::SDMA0_GFX_RB_CNTL__RB_SIZE.of(reg(sdma0::SDMA0_GFX_RB_CNTL));
  }

  SdmaParts parts_;
  unsigned engine_, index_, base_;
  VirtualMemory memory_;
  nanoseconds ready_{0};  // nothing is done before
  // A fault that is waited for.
  bool faulting_ = false;
  Fault fault_;
  nanoseconds tell_again_{0};
  std::uint64_t invalidations_ = 0;
  std::uint64_t progress_ = 0;  // within a packet
  // An indirect buffer, while it runs. The read pointer passes it afterwards, so that a queue that is taken away
  // begins it anew.
  struct Ib {
    std::uint64_t address = 0;
    unsigned vmid = 0;
    std::uint32_t size = 0, ring_words = 0;
    std::size_t at = 0;
    std::vector<std::uint32_t> words;  // that were fetched: all of them before the first one runs
  };
  std::optional<Ib> ib_;
  bool write_back_ = false;
  std::optional<std::uint64_t> captured_;  // the write pointer of a doorbell that rang while RB_ENABLE was off
};

class Sdma {
 public:
  explicit Sdma(const SdmaParts& parts);
  std::optional<nanoseconds> run();
  bool doorbell(std::uint64_t offset, std::uint64_t value, std::size_t bytes);
  SdmaQueue* queue_of(unsigned offset);
  void reset();

 private:
  std::vector<std::unique_ptr<SdmaQueue>> queues_;
  Weather& weather_;
};

}  // namespace faultline::softgpu
