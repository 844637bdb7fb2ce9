#include "harness/executor/handles.h"

#include <sched.h>

#include <algorithm>

namespace faultline {

Handles::Use::Use(Handles& handles, int opener, int device) : handles_(handles), opener_(opener), device_(device) {
  Slot& slot = handles_.slot(opener_, device_);
  std::uint32_t state = slot.state.load();
  while ((state & open_bit) != 0)
    if (slot.state.compare_exchange_weak(state, state + 1)) {
      handle_ = slot.handle.load();
      return;
    }
}

Handles::Use::~Use() {
  if (handle_ != nullptr) release(handles_.slot(opener_, device_));
}

// Ends a use. If it was the last use of a closed slot, deletes the handle, which closes the descriptor.
void Handles::release(Slot& slot) {
  DeviceHandle* handle = slot.handle.load();
  if (slot.state.fetch_sub(1) == 1) {
    slot.handle.store(nullptr);
    delete handle;
  }
}

bool Handles::reserve(int opener, int device) {
  Slot& target = slot(opener, device);
  for (;;) {
    std::uint32_t state = target.state.load();
    if ((state & (open_bit | reserved_bit)) != 0) return false;
    if (state == 0 && target.handle.load() == nullptr && target.state.compare_exchange_strong(state, reserved_bit)) return true;
    sched_yield();
  }
}

void Handles::fill(int opener, int device, std::unique_ptr<DeviceHandle> handle) {
  Slot& target = slot(opener, device);
  const bool there = handle != nullptr;
  target.handle.store(handle.release());
  target.state.store(there ? open_bit : 0);
}

bool Handles::close(int opener, int device) {
  Slot& target = slot(opener, device);
  std::uint32_t state = target.state.load();
  do {
    if ((state & open_bit) == 0) return false;
    // Add a use of our own, so that only release() decides who deletes the handle.
  } while (!target.state.compare_exchange_weak(state, (state & ~open_bit) + 1));
  release(target);
  return true;
}

void Handles::close_all(int opener, std::span<const int> devices) {
  const auto kept = [&](int device) {
    if (std::ranges::find(devices, device) == devices.end()) return false;
    const Use use(*this, opener, device);
    return use && use->keep();
  };
  for (int each = 0; each < limits::processes; ++each)
    for (int device = 0; device < limits::devices; ++device)
      if (each != opener || !kept(device)) close(each, device);
}

void Handles::after_fork() {
  for (Slot& target : slots_) {
    const bool open = (target.state.load() & open_bit) != 0;
    target.state.store(open ? open_bit : 0);
    if (!open) delete target.handle.exchange(nullptr);
  }
}

}  // namespace faultline
