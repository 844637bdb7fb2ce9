#include "drm_glue/kernel_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <charconv>
#include <utility>

#include "harness/health_lines.h"

namespace faultline {

void SplatCollector::feed(std::string line) {
  if (current_.empty()) {
    if (!is_health_line(line)) {
      recent_.push_back(std::move(line));
      if (recent_.size() > lines_before) recent_.pop_front();
      return;
    }
    current_.assign(recent_.begin(), recent_.end());
    recent_.clear();
    left_ = lines_after + 1;
  }
  current_.push_back(std::move(line));
  if (--left_ > 0) return;
  complete_.push_back(std::move(current_));
  current_.clear();
}

std::vector<std::vector<std::string>> SplatCollector::take(bool all) {
  if (all && !current_.empty()) {
    complete_.push_back(std::move(current_));
    current_.clear();
  }
  return std::exchange(complete_, {});
}

std::string kmsg_message(std::string_view record) {
  const std::size_t semicolon = record.find(';');
  if (semicolon == std::string_view::npos) return {};
  unsigned priority = 0;
  std::from_chars(record.data(), record.data() + semicolon, priority);
  if (priority >> 3 != 0) return {};
  const std::string_view text = record.substr(semicolon + 1);
  return std::string(text.substr(0, text.find('\n')));
}

KernelLog::KernelLog(Kernel& kernel) : kernel_(kernel) {
  fd_ = kernel_.open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
  if (fd_ < 0) {
    why_ = std::string("/dev/kmsg: ") + strerror(errno);
    if (errno == EPERM || errno == EACCES) why_ += "; needs root, or kernel.dmesg_restrict=0 and read permission";
    return;
  }
  kernel_.seek(fd_, 0, SEEK_END);
}

KernelLog::~KernelLog() {
  if (fd_ >= 0) kernel_.close(fd_);
}

bool KernelLog::read_new() {
  bool any = false;
  char record[8192];  // the kernel's limit for one record
  for (;;) {
    const ssize_t got = kernel_.read(fd_, record, sizeof record);
    if (got > 0) {
      std::string message = kmsg_message({record, static_cast<std::size_t>(got)});
      if (!message.empty() && listener_) listener_(message);
      if (!message.empty()) collector_.feed(std::move(message));
      any = true;
    } else if (got < 0 && (errno == EPIPE || errno == EINTR)) {
      continue;  // EPIPE: the kernel dropped records; the next read continues after the gap
    } else {
      return any;
    }
  }
}

std::vector<std::vector<std::string>> KernelLog::health() {
  constexpr int pause_us = 100'000;
  constexpr int most_pauses = 20;
  if (fd_ < 0) return {};
  read_new();
  // A splat takes a while to be printed.
  for (int pause = 0; collector_.open() && pause < most_pauses; ++pause) {
    usleep(pause_us);
    if (!read_new()) break;
  }
  return collector_.take(true);
}

}  // namespace faultline
