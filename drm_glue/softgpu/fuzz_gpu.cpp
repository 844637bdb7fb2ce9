// libFuzzer target. A guest may write anything to registers, doorbells, rings, page tables and packets: the GPU neither crashes
// nor stands still, and reaches no memory but what it was given.
//
// The input is a list of steps. Before them, the GPU is set up as the driver does it, so that packets are executed: GART, tables of
// VMID 1, an IH ring, an SDMA queue and KIQ.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "drm_glue/softgpu/gpu.h"

namespace {

using namespace faultline::softgpu;
namespace vfio_user = faultline::vfio_user;

constexpr std::uint64_t vram_bytes = 1 << 20, ram_bytes = 256 << 10, outside = 64 << 10, bus_base = 0x4000'0000;
constexpr std::uint64_t ih_ring = 0x1000, sdma_ring = 0x4000, kiq_ring = 0x8000, reports = 0x3000, free_ram = 0x10000;
constexpr std::uint64_t gart = 0x10000, tables = 0x20000, va = 0x7f00'1000'0000;
constexpr std::uint64_t sdma_doorbell = 0x800, kiq_doorbell = 0;
constexpr std::uint32_t ring_words = 2048;
constexpr std::uint8_t canary = 0x5a;

void require(bool good) {
  if (!good) std::abort();
}

class StepTime : public Time {
 public:
  nanoseconds now() const override { return now_; }
  void pass(nanoseconds span) { now_ += span; }

 private:
  nanoseconds now_{1};
};

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : bytes_(data, size) {}
  bool empty() const { return bytes_.empty(); }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    bytes = std::min(bytes, bytes_.size());
    std::memcpy(&value, bytes_.data(), bytes);
    bytes_ = bytes_.subspan(bytes);
    return value;
  }
  std::uint32_t word() { return static_cast<std::uint32_t>(number(4)); }

 private:
  std::span<const std::uint8_t> bytes_;
};

// One GPU for all inputs: to make one takes longer than an input. It is reset, and its memory is cleared.
class Guest {
 public:
  Guest() : file_(memfd_create("fuzz", MFD_CLOEXEC)), gpu_({.vram = vram_bytes, .seed = 7}, time_) {
    require(ftruncate(file_, static_cast<off_t>(ram_bytes + 2 * outside)) == 0);
    all_ = static_cast<std::byte*>(mmap(nullptr, ram_bytes + 2 * outside, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0));
    require(all_ != MAP_FAILED);
    // The file is larger, on both sides, than what the GPU gets of it.
    require(gpu_.server().dma().map({sizeof(vfio_user::DmaMapRequest), 3, outside, bus_base, ram_bytes}, file_) == 0);
    std::memset(all_, canary, outside);
    std::memset(all_ + outside + ram_bytes, canary, outside);
  }

  void run(Input input) {
    begin();
    while (!input.empty()) step(input);
    // All bytes are as the first one.
    for (const std::byte* part : {all_, all_ + outside + ram_bytes})
      require(part[0] == std::byte{canary} && std::memcmp(part, part + 1, outside - 1) == 0);
  }

 private:
  void ram(std::uint64_t at, std::uint32_t value) { std::memcpy(all_ + outside + at % ram_bytes / 4 * 4, &value, 4); }
  void vram(std::uint64_t at, std::uint64_t value) {
    std::memcpy(gpu_.vram().bytes().data() + at % vram_bytes / 8 * 8, &value, 8);
  }
  void reg(std::uint64_t offset, std::uint32_t value) {
    gpu_.write(Gpu::register_bar, offset % register_count * 4, std::as_bytes(std::span(&value, 1)));
  }
  void doorbell(std::uint64_t offset, std::uint64_t value, std::size_t bytes) {
    gpu_.write(Gpu::doorbell_bar, offset % (Gpu::doorbell_bytes - 8), std::as_bytes(std::span(&value, 1)).first(bytes));
  }
  void go() {
    for (int i = 0; i < 4; ++i) {
      (void)gpu_.run();
      time_.pass(nanoseconds(2'000'000));
    }
  }

  void begin() {
    gpu_.reset();
    std::memset(all_ + outside, 0, ram_bytes);
    std::ranges::fill(gpu_.vram().bytes(), std::byte{0});
    sdma_wptr_ = kiq_wptr_ = 0;
    constexpr std::uint64_t all = pte::valid | pte::readable | pte::writeable;
    for (std::uint64_t page = 0; page < ram_bytes / gpu_page; ++page)
      vram(gart + 8 * page, (bus_base + page * gpu_page) | all | pte::system);
    for (unsigned level = 0; level < 3; ++level)
      vram(tables + level * gpu_page + 8 * (va / gpu_page >> 9 * (3 - level) & 511),
           (tables + (level + 1) * gpu_page) | pte::valid);
    for (std::uint64_t page = 0; page < 8; ++page) {  // half of them in memory, and then none
      const std::uint64_t at = page < 4 ? (bus_base + free_ram + page * gpu_page) | pte::system : 0x80000 + page * gpu_page;
      vram(tables + 3 * gpu_page + 8 * page, at | all);
    }
    for (const unsigned hub : {mmhub::VM_CONTEXT0_CNTL, gc::VM_CONTEXT0_CNTL}) {
      const bool mm = hub == mmhub::VM_CONTEXT0_CNTL;
      const unsigned base = mm ? mmhub::VM_CONTEXT0_PAGE_TABLE_BASE_ADDR_LO32 : gc::VM_CONTEXT0_PAGE_TABLE_BASE_ADDR_LO32;
      const unsigned end = mm ? mmhub::VM_CONTEXT0_PAGE_TABLE_END_ADDR_LO32 : gc::VM_CONTEXT0_PAGE_TABLE_END_ADDR_LO32;
      reg(base, gart | pte::valid), reg(end, ram_bytes / gpu_page - 1), reg(hub, 1);
      reg(base + 2, tables | pte::valid), reg(end + 2, ~0u), reg(end + 3, 0xf);
      reg(hub + 1, 1 | mmhub::VM_CONTEXT0_CNTL__PAGE_TABLE_DEPTH.set(3) |
                       mmhub::VM_CONTEXT0_CNTL__RETRY_PERMISSION_OR_INVALID_PAGE_FAULT.set(1));
    }
    reg(osssys::IH_RB_BASE, static_cast<std::uint32_t>((bus_base + ih_ring) >> 8));
    reg(osssys::IH_RB_CNTL, osssys::IH_RB_CNTL__RB_ENABLE.set(1) | osssys::IH_RB_CNTL__RB_SIZE.set(10) |
                                osssys::IH_RB_CNTL__WPTR_OVERFLOW_ENABLE.set(1) | osssys::IH_RB_CNTL__MC_SPACE.set(1));
    reg(sdma0::SDMA0_GFX_RB_BASE, sdma_ring >> 8);
    reg(sdma0::SDMA0_GFX_RB_RPTR_ADDR_LO, reports);
    reg(sdma0::SDMA0_GFX_DOORBELL_OFFSET, sdma_doorbell);
    reg(sdma0::SDMA0_GFX_DOORBELL, sdma0::SDMA0_GFX_DOORBELL__ENABLE.mask);
    reg(sdma0::SDMA0_GFX_RB_CNTL,
        1 | sdma0::SDMA0_GFX_RB_CNTL__RB_SIZE.set(11) | sdma0::SDMA0_GFX_RB_CNTL__RPTR_WRITEBACK_ENABLE.set(1));
    reg(gc::GRBM_GFX_CNTL, 2 << 2 | 1);
    reg(gc::CP_HQD_PQ_BASE, kiq_ring >> 8);
    reg(gc::CP_HQD_PQ_CONTROL, 10);
    reg(gc::CP_HQD_PQ_RPTR_REPORT_ADDR, reports + 8);
    reg(gc::CP_HQD_PQ_DOORBELL_CONTROL, 1u << 30 | kiq_doorbell);
    reg(gc::CP_HQD_ACTIVE, 1);
  }

  // Registers that have a behaviour, which a random number seldom names.
  static unsigned known(std::uint64_t which) {
    static constexpr unsigned names[]{sdma0::SDMA0_GFX_RB_CNTL,
                                      sdma0::SDMA0_F32_CNTL,
                                      sdma1::SDMA1_GFX_RB_CNTL,
                                      mmhub::VM_CONTEXT0_CNTL,
                                      mmhub::MC_VM_FB_LOCATION_BASE,
                                      gc::VM_CONTEXT0_CNTL,
                                      gc::GRBM_GFX_CNTL,
                                      gc::CP_HQD_ACTIVE,
                                      gc::CP_HQD_DEQUEUE_REQUEST,
                                      gc::CP_RB0_CNTL,
                                      gc::CP_RB_DOORBELL_CONTROL,
                                      osssys::IH_RB_CNTL,
                                      osssys::IH_RB_RPTR,
                                      osssys::IH_DOORBELL_RPTR,
                                      nbio::PCIE_INDEX2,
                                      nbio::PCIE_DATA2};
    return names[which & 15] + static_cast<unsigned>(which >> 4);
  }

  void step(Input& input) {
    const std::uint64_t kind = input.number(1);
    switch (kind % 10) {
      case 0: {
        const std::uint64_t offset = input.number(3);
        return reg(offset, input.word());
      }
      case 1: {
        const unsigned name = known(input.number(1));
        return reg(name, input.word());
      }
      case 2: {
        const std::uint64_t offset = input.number(2) * 4;
        return doorbell(offset, input.number(8), kind & 0x80 ? 8 : 4);
      }
      case 3: {
        const std::uint64_t at = input.number(3);
        return ram(at, input.word());
      }
      case 4: {
        const std::uint64_t at = input.number(3);
        return vram(at, input.number(8));
      }
      case 5: {
        std::uint32_t value;
        return gpu_.read(Gpu::register_bar, known(input.number(1)) % register_count * 4,
                         std::as_writable_bytes(std::span(&value, 1)));
      }
      case 6:
      case 7:  // of SDMA, with a head that is an operation
        for (std::uint64_t words = 1 + input.number(1) % 32; words > 0; --words)
          ram(sdma_ring + 4 * (sdma_wptr_++ % ring_words), input.word());
        doorbell(sdma_doorbell, sdma_wptr_ * 4, 8);
        return go();
      case 8: {  // PM4, with the right length
        const std::uint64_t operation = input.number(1), words = 1 + input.number(1) % 16;
        ram(kiq_ring + 4 * (kiq_wptr_++ % ring_words), 3u << 30 | static_cast<std::uint32_t>(operation << 8 | (words - 1) << 16));
        for (std::uint64_t i = 0; i < words; ++i) ram(kiq_ring + 4 * (kiq_wptr_++ % ring_words), input.word());
        doorbell(kiq_doorbell, kiq_wptr_, 8);
        return go();
      }
      default: return go();
    }
  }

  StepTime time_;
  int file_;
  std::byte* all_ = nullptr;
  Gpu gpu_;
  std::uint64_t sdma_wptr_ = 0, kiq_wptr_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Guest guest;
  guest.run({data, size});
  return 0;
}
