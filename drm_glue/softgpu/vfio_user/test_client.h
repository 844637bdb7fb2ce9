// For tests: a client of the protocol, as QEMU is one, and one that sends what no good client would.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <thread>

#include "drm_glue/softgpu/vfio_user/server.h"

namespace faultline::vfio_user {

// Memory in a file, mapped here.
class TestMemory {
 public:
  explicit TestMemory(std::size_t size);
  TestMemory(Descriptor file, std::size_t size);
  TestMemory(const TestMemory&) = delete;
  TestMemory& operator=(const TestMemory&) = delete;
  ~TestMemory();
  int fd() const { return fd_.get(); }
  std::size_t size() const { return size_; }
  std::byte* at(std::uint64_t offset) { return memory_ + offset; }
  std::uint32_t load32(std::uint64_t offset);
  std::uint64_t load64(std::uint64_t offset);
  void store32(std::uint64_t offset, std::uint32_t value);
  void store64(std::uint64_t offset, std::uint64_t value);

 private:
  Descriptor fd_;
  std::size_t size_;
  std::byte* memory_;
};

class TestClient {
 public:
  explicit TestClient(Descriptor socket) : connection_(std::move(socket)) {}

  // Whatever it is.
  bool send(const Header& header, std::span<const std::byte> payload = {}, std::span<const int> descriptors = {});
  bool send_bytes(std::span<const std::byte> bytes);
  // The next reply; none: the server has closed.
  std::optional<Message> receive();

  // A command and its reply; the error in it, and ECONNRESET where there is none.
  int ask(Command command, std::span<const std::byte> payload = {}, std::span<const int> descriptors = {});
  const Message& reply() const { return reply_; }
  template <class T>
  T reply_head() const;

  int negotiate(const std::string& capabilities = R"({"capabilities":{"write_multiple":true}})");
  int map(std::uint64_t address, std::uint64_t size, int fd, std::uint64_t offset = 0, std::uint32_t flags = 3);
  int unmap(std::uint64_t address, std::uint64_t size, std::uint32_t flags = 0);
  int listen_for_msi(int event_fd);
  int region_info(std::uint32_t index, std::uint32_t argsz = 256);

  int read(std::uint32_t region, std::uint64_t offset, std::span<std::byte> out);
  int write(std::uint32_t region, std::uint64_t offset, std::span<const std::byte> in, bool posted = false);
  std::uint32_t read32(std::uint32_t region, std::uint64_t offset);
  int write32(std::uint32_t region, std::uint64_t offset, std::uint32_t value, bool posted = false);
  int write64(std::uint32_t region, std::uint64_t offset, std::uint64_t value, bool posted = false);

 private:
  Connection connection_;
  std::uint16_t next_ = 1;
  Message reply_;
};

// A server in a thread of its own, until it is destroyed or its client is gone.
class TestServer {
 public:
  explicit TestServer(Server& server);
  ~TestServer();
  Descriptor take_client() { return std::move(client_); }
  Server::End wait();  // for its end

 private:
  Descriptor client_, stop_;
  Server::End end_ = Server::End::stopped;
  std::thread thread_;
};

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return {reinterpret_cast<const std::byte*>(&value), sizeof value};
}

template <class T>
T TestClient::reply_head() const {
  T value{};
  if (reply_.payload.size() >= sizeof value)
    std::copy_n(reply_.payload.begin(), sizeof value, reinterpret_cast<std::byte*>(&value));
  return value;
}

}  // namespace faultline::vfio_user
