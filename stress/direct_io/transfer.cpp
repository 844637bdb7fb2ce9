#include "stress/direct_io/transfer.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "stress/direct_io/door.h"

namespace faultline::direct_io {

Transfer::Transfer(int file, Direction direction, void* memory, std::size_t bytes, milliseconds delay) {
  must(::syscall(SYS_io_setup, 1, &context_), "io_setup");
  iocb request{};
  request.aio_fildes = static_cast<std::uint32_t>(file);
  request.aio_lio_opcode = direction == Direction::file_to_memory ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE;
  request.aio_buf = reinterpret_cast<std::uintptr_t>(memory);
  request.aio_nbytes = bytes;
  iocb* list[] = {&request};
  until_ = Clock::now() + delay - tick;
  const long submitted = ::syscall(SYS_io_submit, context_, 1, list);
  if (submitted != 1) {
    const int error = errno;
    ::syscall(SYS_io_destroy, context_);
    throw std::system_error(error, std::generic_category(), "io_submit");
  }
}

Transfer::~Transfer() { destroy(); }

bool Transfer::surely_in_flight() const { return Clock::now() < until_; }

long Transfer::wait() {
  io_event event{};
  while (!ended_) {
    const long got = ::syscall(SYS_io_getevents, context_, 1, 1, &event, nullptr);
    if (got < 0 && errno != EINTR) must(got, "io_getevents");
    if (got == 1) {
      ended_ = true;
      result_ = static_cast<long>(event.res);
    }
  }
  return result_;
}

void Transfer::destroy() {
  if (context_) ::syscall(SYS_io_destroy, context_);
  context_ = 0;
}

}  // namespace faultline::direct_io
