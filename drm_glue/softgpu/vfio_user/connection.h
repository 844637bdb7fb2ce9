// Messages over a UNIX stream socket, with descriptors.
#pragma once

#include <span>
#include <vector>

#include "drm_glue/softgpu/vfio_user/descriptor.h"
#include "drm_glue/softgpu/vfio_user/wire.h"

namespace faultline::vfio_user {

struct Message {
  Header header;
  std::vector<std::byte> payload;
  std::vector<Descriptor> descriptors;
};

class Connection {
 public:
  explicit Connection(Descriptor socket);

  enum class Got { message, nothing_yet, end, nonsense };
  // Never waits: half of a message is kept until the rest comes. After `nonsense` (a size that no message has, more
  // descriptors than were agreed on) nothing that follows can be told apart: the connection is of no more use.
  Got receive(Message& message);
  // Waits for a client that is slow to read, for seconds. False: it is gone.
  bool send(const Header& header, std::span<const std::byte> payload, std::span<const int> descriptors = {});
  int socket() const { return socket_.get(); }

 private:
  Got fill(std::byte* to, std::size_t size);

  Descriptor socket_;
  Message partial_;
  std::size_t have_ = 0;  // bytes of the partial message
};

// Listens at a path, which is taken from a socket that nobody listens at. Throws std::system_error.
Descriptor listen_at(const char* path);

}  // namespace faultline::vfio_user
