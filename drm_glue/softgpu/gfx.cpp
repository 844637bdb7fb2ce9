#include "drm_glue/softgpu/gfx.h"

#include <algorithm>

namespace faultline::softgpu {
namespace {

using namespace gc;

constexpr nanoseconds poll_interval{50'000};  // the machine has other work
constexpr std::uint32_t selects = GRBM_GFX_CNTL__PIPEID.mask | GRBM_GFX_CNTL__MEID.mask | GRBM_GFX_CNTL__QUEUEID.mask;
constexpr std::uint32_t doorbell_enable = 1u << 30, doorbell_offset = 0x0ffffffc;  // CP_*_DOORBELL_CONTROL
constexpr std::uint64_t most_ib_words = 1 << 20;                                   // of all indirect buffers, in one go
constexpr std::uint32_t most_log2 = 20;                                            // words of a ring

std::uint64_t ring_words(std::uint32_t control) { return std::uint64_t{2} << std::min(control & 0x3f, most_log2); }

}  // namespace

bool Gfx::owns(unsigned offset) const {
  return (offset >= first && offset <= last) || offset == RLC_SAFE_MODE || offset == CP_RB0_WPTR ||
         offset == RLC_GPU_CLOCK_COUNT_LSB || offset == RLC_GPU_CLOCK_COUNT_MSB;
}

Gfx::Hqd& Gfx::selected() { return queues_[parts_.registers[GRBM_GFX_CNTL] & selects]; }

std::uint32_t Gfx::read(unsigned offset) {
  if (offset >= first && offset <= last) return selected().reg(offset);
  if (offset == RLC_SAFE_MODE) return parts_.registers[offset] & ~1u;  // it was entered or left
  if (offset == RLC_GPU_CLOCK_COUNT_LSB) return static_cast<std::uint32_t>(parts_.time.ticks());
  if (offset == RLC_GPU_CLOCK_COUNT_MSB) return static_cast<std::uint32_t>(parts_.time.ticks() >> 32);
  return parts_.registers[offset];
}

void Gfx::write(unsigned offset, std::uint32_t value) {
  if (offset < first || offset > last) {
    parts_.registers[offset] = value;
    if (offset == CP_RB0_WPTR) gfx_rptr_ = gfx_wptr_ = value;
    return;
  }
  Hqd& queue = selected();
  queue.reg(offset) = value;
  if (offset == CP_HQD_DEQUEUE_REQUEST) queue.reg(CP_HQD_ACTIVE) = queue.reg(offset) = 0;
  if (offset == CP_HQD_ACTIVE && value & 1) {
    queue.rptr = queue.reg(CP_HQD_PQ_RPTR);
    parts_.log("hqd %#x active doorbell %#x", parts_.registers[GRBM_GFX_CNTL] & selects, queue.reg(CP_HQD_PQ_DOORBELL_CONTROL));
  }
}

bool Gfx::doorbell(std::uint64_t offset, std::uint64_t value, std::size_t bytes) {
  const auto mine = [&](std::uint32_t control) { return control & doorbell_enable && (control & doorbell_offset) == offset; };
  if (mine(parts_.registers[CP_RB_DOORBELL_CONTROL])) {
    gfx_wptr_ = bytes == 8 ? value : (gfx_wptr_ & ~std::uint64_t{0xffffffff}) | value;
    gfx_ready_ = std::max(gfx_ready_, after_doorbell());
    return true;
  }
  for (auto& [key, queue] : queues_) {
    if (!mine(queue.reg(CP_HQD_PQ_DOORBELL_CONTROL))) continue;
    queue.reg(CP_HQD_PQ_WPTR_LO) = static_cast<std::uint32_t>(value);
    if (bytes == 8) queue.reg(CP_HQD_PQ_WPTR_HI) = static_cast<std::uint32_t>(value >> 32);
    queue.ready = std::max(queue.ready, after_doorbell());
    return true;
  }
  return false;
}

nanoseconds Gfx::after_doorbell() const {
  return parts_.time.now() + parts_.weather.doorbell() + parts_.weather.command_processor();
}

std::uint64_t Gfx::run_ring(std::uint64_t base, std::uint64_t size, std::uint64_t rptr, std::uint64_t wptr, Where where) {
  const std::uint64_t left = wptr - rptr;
  if (wptr < rptr || left > size) {
    parts_.log("cp ring %#x bad pointers rptr %#lx wptr %#lx", where.ring, rptr, wptr);
    return wptr;
  }
  ib_words_left_ = most_ib_words;
  std::vector<std::uint32_t> words(left);
  for (std::uint64_t done = 0; done < left;) {
    const std::uint64_t at = (rptr + done) % size, part = std::min(left - done, size - at);
    if (memory_.read(where.vmid, base + 4 * at, std::as_writable_bytes(std::span(words).subspan(done, part)))) return rptr;
    done += part;
  }
  for (std::size_t at = 0; at < words.size();) {
    const std::uint32_t taken = execute(Words(words).subspan(at), where, 0);
    if (taken == 0) return rptr + at;
    at += taken;
    if (at >= words.size()) break;
  }
  return wptr;
}

std::optional<nanoseconds> Gfx::again(bool waits) const {
  return waits ? std::optional(parts_.time.now() + poll_interval) : std::nullopt;
}

std::optional<nanoseconds> Gfx::run_gfx_ring() {
  RegisterFile& registers = parts_.registers;
  if (gfx_rptr_ == gfx_wptr_ || CP_ME_CNTL__ME_HALT.of(registers[CP_ME_CNTL])) return std::nullopt;
  if (parts_.time.now() < gfx_ready_) return gfx_ready_;
  const std::uint64_t size = ring_words(registers[CP_RB0_CNTL]);
  gfx_rptr_ = run_ring(registers.pair(CP_RB0_BASE, CP_RB0_BASE_HI) << 8, size, gfx_rptr_, gfx_wptr_, {});
  registers[CP_RB0_RPTR] = static_cast<std::uint32_t>(gfx_rptr_ % size);
  store(0, registers.pair(CP_RB0_RPTR_ADDR, CP_RB0_RPTR_ADDR_HI) & ~std::uint64_t{3}, registers[CP_RB0_RPTR]);
  return again(gfx_rptr_ != gfx_wptr_);
}

std::optional<nanoseconds> Gfx::run_queue(unsigned key, Hqd& queue) {
  const std::uint64_t wptr = queue.pair(CP_HQD_PQ_WPTR_LO, CP_HQD_PQ_WPTR_HI), size = ring_words(queue.reg(CP_HQD_PQ_CONTROL));
  if (!(queue.reg(CP_HQD_ACTIVE) & 1) || queue.rptr == wptr) return std::nullopt;
  if (parts_.time.now() < queue.ready) return queue.ready;
  const Where where{static_cast<std::uint8_t>((key & 0xf) | GRBM_GFX_CNTL__QUEUEID.of(key) << 4), queue.reg(CP_HQD_VMID) & 0xf};
  queue.rptr = run_ring(queue.pair(CP_HQD_PQ_BASE, CP_HQD_PQ_BASE_HI) << 8, size, queue.rptr, wptr, where);
  queue.reg(CP_HQD_PQ_RPTR) = static_cast<std::uint32_t>(queue.rptr % size);
  store(where.vmid, queue.pair(CP_HQD_PQ_RPTR_REPORT_ADDR, CP_HQD_PQ_RPTR_REPORT_ADDR_HI) & ~std::uint64_t{3},
        queue.reg(CP_HQD_PQ_RPTR));
  return again(queue.rptr != wptr);
}

std::optional<nanoseconds> Gfx::run() {
  std::optional<nanoseconds> next = run_gfx_ring();
  std::vector<unsigned> keys;  // a packet may map another queue
  for (const auto& [key, queue] : queues_) keys.push_back(key);
  for (const unsigned key : keys) next = sooner(next, run_queue(key, queues_[key]));
  return next;
}

void Gfx::reset() {
  queues_.clear();
  gfx_rptr_ = gfx_wptr_ = 0;
  gfx_ready_ = nanoseconds(0);
  written_.clear();
}

}  // namespace faultline::softgpu
