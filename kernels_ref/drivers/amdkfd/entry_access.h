// An access of the GPU through an entry of a process's ranges.
#pragma once

#include "kernels_ref/drivers/amdkfd/ranges.h"

namespace faultline::ref {

inline bool serves(const DeviceEntry& entry, bool write) { return entry.valid() && (!write || entry.writable); }

// Through an entry that serves it.
inline Result access_by(Cpu cpu, const DeviceEntry& entry, Slot slot, bool write, int value) {
  Result result{.kind = write ? Result::Kind::ok : Result::Kind::contents};
  if (entry.frame == zero_page) return result;
  Frame& frame = cpu.world().frame[entry.frame];
  if (frame.kind == Frame::Kind::free) cpu.breaks(Broken::use_after_free);
  if (write && frame.kind == Frame::Kind::device && frame.mapcount > 1) cpu.meets(MetBug::writable_shared_vram);
  if (write) frame.contents = {static_cast<std::uint8_t>(slot), static_cast<std::uint8_t>(value)};
  else result.contents = frame.contents;
  return result;
}

}  // namespace faultline::ref
