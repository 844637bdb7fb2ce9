// One asynchronous O_DIRECT request (Linux AIO).
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
  static constexpr milliseconds tick{2};  // dm-delay counts in jiffies, and the first one may be partly over

  // When the constructor returns, the request is submitted and the kernel holds the memory's pages. Throws if refused.
  Transfer(int file, Direction direction, void* memory, std::size_t bytes, milliseconds delay);
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  // True: the data cannot have moved yet, because dm-delay is never early. False: they may have moved.
  bool surely_in_flight() const;
  // The result: bytes, or -errno.
  long wait();
  // io_destroy(2), which waits for requests in flight. Call nothing else afterwards.
  void destroy();

 private:
  aio_context_t context_ = 0;
  Clock::time_point until_;  // the data moves then or later
  long result_ = 0;
  bool ended_ = false;
};

}  // namespace faultline::direct_io
