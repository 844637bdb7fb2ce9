// One O_DIRECT request that is on its way while others go on (Linux AIO).
#pragma once

#include <linux/aio_abi.h>

#include <chrono>
#include <cstddef>

#include "stress/direct_io/slow_device.h"

namespace faultline::direct_io {

enum class Direction { file_to_memory, memory_to_file };

class Transfer {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr milliseconds tick{2};  // dm-delay counts in jiffies, and the first is not a whole one

  // Submitted when it returns: the kernel holds the memory's pages. Throws when it is refused.
  Transfer(int file, Direction direction, void* memory, std::size_t bytes, milliseconds delay);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // The data cannot have moved yet: a request is never passed on early. False: it may have.
  bool surely_in_flight() const;
  // The result: bytes, or -errno.
  long wait();
  // io_destroy(2), which waits for what is in flight. No call may follow.
  void destroy();

 private:
  aio_context_t context_ = 0;
  Clock::time_point until_;  // the data moves then or later
  long result_ = 0;
  bool ended_ = false;
};

}  // namespace faultline::direct_io
