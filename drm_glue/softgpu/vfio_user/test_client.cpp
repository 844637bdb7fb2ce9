#include "drm_glue/softgpu/vfio_user/test_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "drm_glue/softgpu/vfio_user/shared.h"

namespace faultline::vfio_user {

namespace {

Descriptor new_file(std::size_t size) {
  Descriptor file(memfd_create("test", MFD_CLOEXEC));
  if (!file || ftruncate(file.get(), static_cast<off_t>(size)) != 0) std::abort();
  return file;
}

}  // namespace

TestMemory::TestMemory(std::size_t size) : TestMemory(new_file(size), size) {}
TestMemory::TestMemory(Descriptor file, std::size_t size) : fd_(std::move(file)), size_(size) {
  memory_ = static_cast<std::byte*>(mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0));
  if (memory_ == MAP_FAILED) std::abort();
}
TestMemory::~TestMemory() { munmap(memory_, size_); }
std::uint32_t TestMemory::load32(std::uint64_t offset) { return load_shared<std::uint32_t>(at(offset)); }
std::uint64_t TestMemory::load64(std::uint64_t offset) { return load_shared<std::uint64_t>(at(offset)); }
void TestMemory::store32(std::uint64_t offset, std::uint32_t value) { store_shared(at(offset), value); }
void TestMemory::store64(std::uint64_t offset, std::uint64_t value) { store_shared(at(offset), value); }

bool TestClient::send(const Header& header, std::span<const std::byte> payload, std::span<const int> descriptors) {
  return connection_.send(header, payload, descriptors);
}

bool TestClient::send_bytes(std::span<const std::byte> bytes) {
  return ::send(connection_.socket(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

std::optional<Message> TestClient::receive() {
  Message message;
  for (;;) {
    switch (connection_.receive(message)) {
      case Connection::Got::message: return message;
      case Connection::Got::nothing_yet: break;
      default: return std::nullopt;
    }
    pollfd wait{connection_.socket(), POLLIN, 0};
    if (poll(&wait, 1, 60000) <= 0) return std::nullopt;
  }
}

int TestClient::ask(Command command, std::span<const std::byte> payload, std::span<const int> descriptors) {
  const Header header{next_++, static_cast<std::uint16_t>(command), static_cast<std::uint32_t>(sizeof(Header) + payload.size())};
  if (!send(header, payload, descriptors)) return ECONNRESET;
  std::optional<Message> reply = receive();
  if (!reply) return ECONNRESET;
  reply_ = std::move(*reply);
  if (reply_.header.id != header.id || reply_.header.command != header.command) return EPROTO;
  return reply_.header.flags & flag::error ? static_cast<int>(reply_.header.error) : 0;
}

int TestClient::negotiate(const std::string& capabilities) {
  std::vector<std::byte> payload(4 + capabilities.size() + 1);
  payload[2] = std::byte{1};
  std::memcpy(payload.data() + 4, capabilities.data(), capabilities.size());
  return ask(Command::version, payload);
}

int TestClient::map(std::uint64_t address, std::uint64_t size, int fd, std::uint64_t offset, std::uint32_t flags) {
  const DmaMapRequest request{sizeof request, flags, offset, address, size};
  return ask(Command::dma_map, bytes_of(request), fd < 0 ? std::span<const int>() : std::span<const int>(&fd, 1));
}

int TestClient::unmap(std::uint64_t address, std::uint64_t size, std::uint32_t flags) {
  const DmaUnmapRequest request{sizeof request, flags, address, size};
  return ask(Command::dma_unmap, bytes_of(request));
}

int TestClient::listen_for_msi(int event_fd) {
  SetIrqsRequest request{};
  request.argsz = sizeof request;
  request.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
  request.index = VFIO_PCI_MSI_IRQ_INDEX;
  request.count = 1;
  return ask(Command::set_irqs, bytes_of(request), {&event_fd, 1});
}

int TestClient::region_info(std::uint32_t index, std::uint32_t argsz) {
  vfio_region_info request{};
  request.argsz = argsz;
  request.index = index;
  return ask(Command::get_region_info, bytes_of(request));
}

int TestClient::read(std::uint32_t region, std::uint64_t offset, std::span<std::byte> out) {
  const Access access{offset, region, static_cast<std::uint32_t>(out.size())};
  if (const int error = ask(Command::region_read, bytes_of(access))) return error;
  if (reply_.payload.size() != sizeof access + out.size()) return EPROTO;
  std::copy(reply_.payload.begin() + sizeof access, reply_.payload.end(), out.begin());
  return 0;
}

int TestClient::write(std::uint32_t region, std::uint64_t offset, std::span<const std::byte> in, bool posted) {
  const Access access{offset, region, static_cast<std::uint32_t>(in.size())};
  std::vector<std::byte> payload(sizeof access + in.size());
  std::memcpy(payload.data(), &access, sizeof access);
  std::copy(in.begin(), in.end(), payload.begin() + sizeof access);
  if (!posted) return ask(Command::region_write, payload);
  const Header header{next_++, static_cast<std::uint16_t>(Command::region_write),
                      static_cast<std::uint32_t>(sizeof(Header) + payload.size()), flag::no_reply};
  return send(header, payload) ? 0 : ECONNRESET;
}

std::uint32_t TestClient::read32(std::uint32_t region, std::uint64_t offset) {
  std::uint32_t value = 0xdeadbeef;
  read(region, offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}
int TestClient::write32(std::uint32_t region, std::uint64_t offset, std::uint32_t value, bool posted) {
  return write(region, offset, bytes_of(value), posted);
}
int TestClient::write64(std::uint32_t region, std::uint64_t offset, std::uint64_t value, bool posted) {
  return write(region, offset, bytes_of(value), posted);
}

TestServer::TestServer(Server& server) : stop_(eventfd(0, EFD_CLOEXEC)) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  client_ = Descriptor(ends[0]);
  thread_ = std::thread([this, &server, end = ends[1]] {
    Connection connection{Descriptor(end)};
    end_ = server.serve(connection, stop_.get());
  });
}

TestServer::~TestServer() {
  const std::uint64_t one = 1;
  if (write(stop_.get(), &one, sizeof one) != sizeof one) std::abort();
  if (thread_.joinable()) thread_.join();
}

Server::End TestServer::wait() {
  thread_.join();
  return end_;
}

}  // namespace faultline::vfio_user
