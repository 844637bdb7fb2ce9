// The device descriptors that one process holds: its own, and those that it inherited.
//
// A close by one thread while another is inside a request behaves as in the kernel: the request goes on,
// and the file goes away with it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "harness/target.h"

namespace faultline {

class Handles {
 public:
  // Keeps a handle alive while it is used. Tests false when the descriptor was not open.
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

  // Takes the place of a descriptor that is about to be opened; false when it is open or being opened: a
  // process has one descriptor of a device. Waits while the last use of a closed one lasts.
  bool reserve(int opener, int device);
  // Fills a reserved place; with null gives it back.
  void fill(int opener, int device, std::unique_ptr<DeviceHandle> handle);
  bool close(int opener, int device);  // false when it was not open
  void close_all();
  // In a forked child, before anything else: the threads that were using a handle are not here.
  void after_fork();

 private:
  struct Slot {
    std::atomic<std::uint32_t> state{0};  // open_bit, and how many use it
    std::atomic<DeviceHandle*> handle{nullptr};
  };
  static constexpr std::uint32_t open_bit = 1u << 31;
  static constexpr std::uint32_t reserved_bit = 1u << 30;
  Slot& slot(int opener, int device) { return slots_[opener * limits::devices + device]; }
  static void release(Slot& slot);

  std::array<Slot, limits::processes * limits::devices> slots_;
};

}  // namespace faultline
