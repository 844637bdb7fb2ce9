#include "drm_glue/softgpu/vfio_user/connection.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cstring>
#include <system_error>

namespace faultline::vfio_user {

Connection::Connection(Descriptor socket) : socket_(std::move(socket)) {
  const timeval patience{10, 0};
  setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

// Asks for no more than belongs to this message, so that descriptors are known to belong to it.
Connection::Got Connection::fill(std::byte* to, std::size_t size) {
  iovec data{to, size};
  alignas(cmsghdr) char control[CMSG_SPACE(most_descriptors * sizeof(int))];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0) return errno == EAGAIN || errno == EINTR ? Got::nothing_yet : Got::end;
  for (cmsghdr* each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each)) {
    if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(each) + i * sizeof fd, sizeof fd);
      partial_.descriptors.emplace_back(fd);
    }
  }
  if (got == 0) return Got::end;
  if (message.msg_flags & MSG_CTRUNC || partial_.descriptors.size() > most_descriptors) return Got::nonsense;
  have_ += static_cast<std::size_t>(got);
  return Got::message;
}

Connection::Got Connection::receive(Message& message) {
  while (have_ < sizeof(Header)) {
    const Got got = fill(reinterpret_cast<std::byte*>(&partial_.header) + have_, sizeof(Header) - have_);
    if (got != Got::message) return got;
    if (have_ == sizeof(Header)) {
      if (partial_.header.size < sizeof(Header) || partial_.header.size > most_bytes) return Got::nonsense;
      partial_.payload.resize(partial_.header.size - sizeof(Header));
    }
  }
  while (have_ < partial_.header.size) {
    const Got got = fill(partial_.payload.data() + (have_ - sizeof(Header)), partial_.header.size - have_);
    if (got != Got::message) return got;
  }
  message = std::move(partial_);
  partial_ = {};
  have_ = 0;
  return Got::message;
}

bool Connection::send(const Header& header, std::span<const std::byte> payload, std::span<const int> descriptors) {
  const auto head = std::as_bytes(std::span(&header, 1));
  std::vector<std::byte> bytes(head.begin(), head.end());
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  alignas(cmsghdr) char control[CMSG_SPACE(most_descriptors * sizeof(int))];
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    iovec data{bytes.data() + sent, bytes.size() - sent};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (sent == 0 && !descriptors.empty() && descriptors.size() <= most_descriptors) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(descriptors.size_bytes());
      std::memcpy(CMSG_DATA(rights), descriptors.data(), descriptors.size_bytes());
    }
    const ssize_t done = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    sent += static_cast<std::size_t>(done);
  }
  return true;
}

Descriptor listen_at(const char* path) {
  const auto failed = [&](const char* what) {
    return std::system_error(errno, std::generic_category(), std::string(what) + " " + path);
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (std::strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    throw failed("socket");
  }
  std::strcpy(address.sun_path, path);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  struct stat status;
  if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode)) {
    const Descriptor probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(probe.get(), generic, sizeof address) != 0 && errno == ECONNREFUSED) unlink(path);
  }
  Descriptor listening(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listening || bind(listening.get(), generic, sizeof address) != 0 || listen(listening.get(), 1) != 0)
    throw failed("socket");
  return listening;
}

}  // namespace faultline::vfio_user
