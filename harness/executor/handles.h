// The device descriptors that one process holds: its own, and those that it inherited.
//
// If one thread closes a descriptor while another is inside a request, the result is as in the kernel: the request
// continues, and the file is released when the request ends.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "harness/target.h"

namespace faultline {

class Handles {
 public:
  // Keeps a handle alive while it is in use. Converts to false if the descriptor was not open.
  class Use {
   public:
    Use(Handles& handles, int opener, int device);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    explicit operator bool() const { return handle_ != nullptr; }
    DeviceHandle* operator->() const { return handle_; }

   private:
    Handles& handles_;
    int opener_, device_;
    DeviceHandle* handle_ = nullptr;
  };

  // Reserves the slot of a descriptor that is about to be opened. False if it is open or being opened, because a process
  // has at most one descriptor of a device. Waits until the last use of a closed descriptor has ended.
  bool reserve(int opener, int device);
  // Puts a handle into a reserved slot. Null gives the slot back.
  void fill(int opener, int device, std::unique_ptr<DeviceHandle> handle);
  bool close(int opener, int device);  // false when it was not open
  // Closes all but those descriptors of `opener` on the `devices` that can be kept (DeviceHandle::keep()).
  void close_all(int opener = -1, std::span<const int> devices = {});
  bool is_open(int opener, int device) { return static_cast<bool>(Use(*this, opener, device)); }
  // A forked child calls this before anything else, because threads that were using a handle do not exist in the child.
  void after_fork();

 private:
  struct Slot {
    std::atomic<std::uint32_t> state{0};  // open_bit, reserved_bit, and the number of uses
    std::atomic<DeviceHandle*> handle{nullptr};
  };
  static constexpr std::uint32_t open_bit = 1u << 31;
  static constexpr std::uint32_t reserved_bit = 1u << 30;
  Slot& slot(int opener, int device) { return slots_[opener * limits::devices + device]; }
  static void release(Slot& slot);

  std::array<Slot, limits::processes * limits::devices> slots_;
};

}  // namespace faultline
