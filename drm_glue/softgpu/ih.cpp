#include "drm_glue/softgpu/ih.h"

#include <algorithm>

#include "drm_glue/softgpu/vfio_user/shared.h"

namespace faultline::softgpu {
namespace {

using osssys::IH_DOORBELL_RPTR, osssys::IH_RB_BASE, osssys::IH_RB_BASE_HI, osssys::IH_RB_CNTL, osssys::IH_RB_RPTR,
    osssys::IH_RB_WPTR;
using vfio_user::store_shared;

constexpr std::uint32_t bus_address = 1;  // of MC_SPACE, as the driver sets it

}  // namespace

void Ih::post(const Vector& vector, nanoseconds delay) {
  delay += weather_.interrupt();
  if (delay == nanoseconds(0) && waiting_.empty()) {
    tell(vector);
  } else if (waiting_.size() < most_waiting) {
    waiting_.push_back({std::max(time_.now() + delay, settled_), vector});
  } else {
    log_("ih lost client %#x source %u", vector.client, vector.source);
  }
}

void Ih::settle() {
  for (const Waiting& each : waiting_) settled_ = std::max(settled_, each.due);
}

std::optional<nanoseconds> Ih::run() {
  const nanoseconds now = time_.now();
  std::ranges::stable_sort(waiting_, {}, &Waiting::due);
  std::size_t told = 0;
  for (; told < waiting_.size() && waiting_[told].due <= now; ++told) tell(waiting_[told].vector);
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(told));
  if (waiting_.empty()) return std::nullopt;
  return waiting_.front().due;
}

std::uint32_t Ih::ring_bytes() const { return 4u << std::min(osssys::IH_RB_CNTL__RB_SIZE.of(registers_[IH_RB_CNTL]), 16u); }

std::byte* Ih::at(std::uint64_t address, std::uint64_t size) const {
  if (address % 4) return nullptr;
  if (osssys::IH_RB_CNTL__MC_SPACE.of(registers_[IH_RB_CNTL]) == bus_address) return memory_.at({address, true}, size, true);
  const std::optional<Physical> where = gpu_address_ ? gpu_address_(address) : std::nullopt;
  return where ? memory_.at(*where, size, true) : nullptr;
}

void Ih::tell(const Vector& vector) {
  const std::uint32_t control = registers_[IH_RB_CNTL];
  if (!osssys::IH_RB_CNTL__RB_ENABLE.of(control)) {
    log_("ih off client %#x source %u", vector.client, vector.source);
    return;
  }
  const std::uint32_t overflowed = registers_[IH_RB_WPTR] & osssys::IH_RB_WPTR__RB_OVERFLOW.mask;
  const std::uint32_t mask = ring_bytes() - 1, wptr = registers_[IH_RB_WPTR] & mask & ~(vector_bytes - 1);
  const std::uint64_t base = registers_.pair(IH_RB_BASE, IH_RB_BASE_HI) << 8;
  std::byte* to = mask + 1 < vector_bytes ? nullptr : at(base + wptr, vector_bytes);
  if (!to) {
    log_("ih bus error ring %#lx", base + wptr);
    return;
  }
  const std::uint64_t stamp = time_.ticks();
  const std::uint32_t words[8]{
      static_cast<std::uint32_t>(vector.client | vector.source << 8 | vector.ring << 16) | std::uint32_t{vector.vmid} << 24,
      static_cast<std::uint32_t>(stamp),
      static_cast<std::uint32_t>(stamp >> 32) & 0xffff,
      vector.pasid,
      vector.data[0],
      vector.data[1],
      0,
      0};
  for (std::size_t i = 0; i < std::size(words); ++i) store_shared(to + 4 * i, words[i]);
  const std::uint32_t next = (wptr + vector_bytes) & mask;
  const bool overflow = next == (registers_[IH_RB_RPTR] & mask) && osssys::IH_RB_CNTL__WPTR_OVERFLOW_ENABLE.of(control);
  registers_[IH_RB_WPTR] = next | overflowed | osssys::IH_RB_WPTR__RB_OVERFLOW.set(overflow);
  log_("ih client %#x source %u ring %u vmid %u pasid %u data %#x %#x wptr %#x%s", vector.client, vector.source, vector.ring,
       vector.vmid, vector.pasid, vector.data[0], vector.data[1], next, overflow ? " overflow" : "");
  write_back();
  if (osssys::IH_RB_CNTL__ENABLE_INTR.of(control)) msi_();
}

void Ih::write_back() {
  if (!osssys::IH_RB_CNTL__WPTR_WRITEBACK_ENABLE.of(registers_[IH_RB_CNTL])) return;
  const std::uint64_t address = registers_.pair(osssys::IH_RB_WPTR_ADDR_LO, osssys::IH_RB_WPTR_ADDR_HI);
  if (std::byte* to = at(address, 4)) store_shared(to, registers_[IH_RB_WPTR]);
}

void Ih::set_rptr(std::uint32_t value) {
  registers_[IH_RB_RPTR] = value;
  const std::uint32_t mask = (ring_bytes() - 1) & ~(vector_bytes - 1), control = registers_[IH_RB_CNTL];
  const bool more = (value & mask) != (registers_[IH_RB_WPTR] & mask);
  if (more && osssys::IH_RB_CNTL__RPTR_REARM.of(control) && osssys::IH_RB_CNTL__ENABLE_INTR.of(control)) msi_();
}

bool Ih::write(unsigned offset, std::uint32_t value) {
  switch (offset) {
    case IH_RB_RPTR: set_rptr(value); return true;
    case IH_RB_CNTL:
      registers_[offset] = value;
      if (osssys::IH_RB_CNTL__WPTR_OVERFLOW_CLEAR.of(value)) {
        registers_[IH_RB_WPTR] &= ~osssys::IH_RB_WPTR__RB_OVERFLOW.mask;
        write_back();
      }
      return true;
    default: return false;
  }
}

bool Ih::doorbell(std::uint64_t offset, std::uint32_t value) {
  const std::uint32_t doorbell = registers_[IH_DOORBELL_RPTR];
  if (!osssys::IH_DOORBELL_RPTR__ENABLE.of(doorbell)) return false;
  if (offset != std::uint64_t{osssys::IH_DOORBELL_RPTR__OFFSET.of(doorbell)} * 4) return false;
  set_rptr(value);
  return true;
}

}  // namespace faultline::softgpu
