#include "drm_glue/softgpu/vfio_user/server.h"

#include <errno.h>
#include <poll.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "drm_glue/softgpu/vfio_user/shared.h"

namespace faultline::vfio_user {
namespace {

using std::chrono::nanoseconds;

// Of the head of a payload; none where that is shorter.
template <class T>
std::optional<T> head(const Message& message) {
  if (message.payload.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, message.payload.data(), sizeof value);
  return value;
}

template <class T>
void append(Reply& reply, const T& value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  reply.payload.insert(reply.payload.end(), bytes, bytes + sizeof value);
}

std::array<PciBar, 6> bars(const Layout& layout) {
  std::array<PciBar, 6> result;
  for (std::size_t i = 0; i < result.size(); ++i)
    result[i] = {layout.regions[i].size, layout.regions[i].wide, layout.regions[i].prefetchable};
  return result;
}

}  // namespace

Server::Server(const Layout& layout, Device& device)
    : layout_(layout),
      device_(device),
      config_(layout.identity, bars(layout), static_cast<std::uint32_t>(layout.regions[Layout::rom].size)) {}

std::optional<Reply> Server::handle(Message message) {
  if ((message.header.flags & flag::type_mask) != 0) {  // a reply: nothing was asked of the client
    ++refused_;
    return std::nullopt;
  }
  Reply reply;
  const int error = answer(message, reply);
  if (error) {
    ++refused_;
    reply = {};
  }
  if (message.header.flags & flag::no_reply) return std::nullopt;
  reply.header = {message.header.id, message.header.command, static_cast<std::uint32_t>(sizeof(Header) + reply.payload.size()),
                  flag::reply | (error ? flag::error : 0), static_cast<std::uint32_t>(error)};
  return reply;
}

int Server::answer(Message& message, Reply& reply) {
  const auto command = static_cast<Command>(message.header.command);
  if ((command == Command::version) == negotiated_) return EINVAL;  // first that, and once
  switch (command) {
    case Command::version: return version(message, reply);
    case Command::dma_map: return dma_map(message);
    case Command::dma_unmap: return dma_unmap(message, reply);
    case Command::get_info: return get_info(message, reply);
    case Command::get_region_info: return get_region_info(message, reply);
    case Command::get_irq_info: return get_irq_info(message, reply);
    case Command::set_irqs: return set_irqs(message);
    case Command::region_read: return region_read(message, reply);
    case Command::region_write: return region_write(message, reply);
    case Command::region_write_multi: return region_write_multi(message, reply);
    case Command::reset: return reset();
    case Command::get_region_io_fds:
    case Command::dirty_pages: return ENOTSUP;
  }
  return ENOTSUP;
}

int Server::version(const Message& message, Reply& reply) {
  struct Versions {
    std::uint16_t major, minor;
  };
  const auto asked = head<Versions>(message);
  if (!asked) return EINVAL;
  if (asked->major != major_version) return ENOTSUP;
  nlohmann::json capabilities = nlohmann::json::object();
  if (message.payload.size() > sizeof(Versions)) {
    if (message.payload.back() != std::byte{0}) return EINVAL;
    const auto* text = reinterpret_cast<const char*>(message.payload.data() + sizeof(Versions));
    const auto parsed = nlohmann::json::parse(text, text + std::strlen(text), nullptr, false);
    if (!parsed.is_object()) return EINVAL;
    if (parsed.contains("capabilities")) capabilities = parsed["capabilities"];
    if (!capabilities.is_object()) return EINVAL;
  }
  nlohmann::json agreed{{"max_msg_fds", most_descriptors}, {"max_data_xfer_size", most_data}, {"max_dma_maps", DmaMap::most}};
  if (capabilities.value("write_multiple", nlohmann::json()) == true) agreed["write_multiple"] = true;
  append(reply, Versions{major_version, std::min(asked->minor, minor_version)});
  for (const char each : nlohmann::json{{"capabilities", agreed}}.dump()) append(reply, each);
  append(reply, '\0');
  negotiated_ = true;
  return 0;
}

int Server::dma_map(Message& message) {
  const auto request = head<DmaMapRequest>(message);
  if (!request || message.payload.size() != sizeof *request || message.descriptors.size() > 1) return EINVAL;
  return dma_.map(*request, message.descriptors.empty() ? -1 : message.descriptors[0].get());
}

int Server::dma_unmap(const Message& message, Reply& reply) {
  const auto request = head<DmaUnmapRequest>(message);
  if (!request || (request->flags & ~std::uint32_t{VFIO_DMA_UNMAP_FLAG_ALL})) return EINVAL;  // no bitmap of dirty pages
  if (request->flags & VFIO_DMA_UNMAP_FLAG_ALL) {
    if (request->address || request->size) return EINVAL;
    dma_.unmap_all();
  } else if (const int error = dma_.unmap(request->address, request->size)) {
    return error;
  }
  append(reply, *request);
  return 0;
}

int Server::get_info(const Message& message, Reply& reply) const {
  struct Info {
    std::uint32_t argsz, flags, regions, interrupts;
  };
  const auto request = head<Info>(message);
  if (!request || request->argsz < sizeof *request) return EINVAL;
  append(reply, Info{sizeof(Info), VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI, VFIO_PCI_NUM_REGIONS, Interrupts::kinds});
  return 0;
}

int Server::get_region_info(const Message& message, Reply& reply) const {
  const auto request = head<vfio_region_info>(message);
  if (!request || request->argsz < sizeof *request || request->index >= VFIO_PCI_NUM_REGIONS) return EINVAL;
  vfio_region_info info{};
  info.argsz = sizeof info;
  info.index = request->index;
  if (info.index == Layout::config) {
    info.size = PciConfig::size;
    info.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
  } else if (info.index < layout_.regions.size() && layout_.regions[info.index].size) {
    const Region& region = layout_.regions[info.index];
    info.size = region.size;
    info.flags = VFIO_REGION_INFO_FLAG_READ | (region.writable ? VFIO_REGION_INFO_FLAG_WRITE : 0);
    if (region.fd >= 0) {
      info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
      reply.descriptors.push_back(region.fd);
      if (!region.areas.empty()) {
        info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
        info.argsz += sizeof(vfio_region_info_cap_sparse_mmap) + region.areas.size() * sizeof(vfio_region_sparse_mmap_area);
      }
    }
  }
  const bool whole = request->argsz >= info.argsz;  // else the client asks again, with room for all of it
  if (info.flags & VFIO_REGION_INFO_FLAG_CAPS && whole) info.cap_offset = sizeof info;
  append(reply, info);
  if (!info.cap_offset) return 0;
  const std::vector<Area>& areas = layout_.regions[info.index].areas;
  vfio_region_info_cap_sparse_mmap sparse{};
  sparse.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
  sparse.header.version = 1;
  sparse.nr_areas = static_cast<std::uint32_t>(areas.size());
  append(reply, sparse);
  for (const Area& area : areas) append(reply, vfio_region_sparse_mmap_area{area.offset, area.size});
  return 0;
}

int Server::get_irq_info(const Message& message, Reply& reply) const {
  const auto request = head<vfio_irq_info>(message);
  if (!request || request->argsz < sizeof *request || request->index >= Interrupts::kinds) return EINVAL;
  vfio_irq_info info{};
  info.argsz = sizeof info;
  info.flags = Interrupts::flags(request->index);
  info.index = request->index;
  info.count = Interrupts::count(request->index);
  append(reply, info);
  return 0;
}

int Server::set_irqs(Message& message) {
  const auto request = head<SetIrqsRequest>(message);
  if (!request) return EINVAL;
  return interrupts_.set(*request, std::span(message.payload).subspan(sizeof(SetIrqsRequest)), message.descriptors);
}

int Server::check(const Access& access, bool write) const {
  if (access.count == 0 || access.count > most_data) return EINVAL;
  if (access.region == Layout::config) {
    return access.offset < PciConfig::size && access.count <= PciConfig::size - access.offset ? 0 : EINVAL;
  }
  if (access.region >= layout_.regions.size()) return EINVAL;
  const Region& region = layout_.regions[access.region];
  if (write && !region.writable) return EPERM;
  return access.offset < region.size && access.count <= region.size - access.offset ? 0 : EINVAL;
}

void Server::write(const Access& access, std::span<const std::byte> data) {
  if (access.region == Layout::config) {
    config_.write(access.offset, data);
  } else if (Region& region = layout_.regions[access.region]; !region.memory.empty()) {
    copy_shared(region.memory.data() + access.offset, data.data(), data.size());
  } else {
    device_.write(access.region, access.offset, data);
  }
}

int Server::region_read(const Message& message, Reply& reply) {
  const auto access = head<Access>(message);
  if (!access || message.payload.size() != sizeof *access) return EINVAL;
  if (const int error = check(*access, false)) return error;
  append(reply, *access);
  reply.payload.resize(sizeof *access + access->count);
  const auto out = std::span(reply.payload).subspan(sizeof *access);
  if (access->region == Layout::config) {
    config_.read(access->offset, out);
  } else if (const Region& region = layout_.regions[access->region]; !region.memory.empty()) {
    copy_shared(out.data(), region.memory.data() + access->offset, out.size());
  } else {
    device_.read(access->region, access->offset, out);
  }
  return 0;
}

int Server::region_write(const Message& message, Reply& reply) {
  const auto access = head<Access>(message);
  if (!access || message.payload.size() - sizeof *access != access->count) return EINVAL;
  if (const int error = check(*access, true)) return error;
  write(*access, std::span(message.payload).subspan(sizeof *access));
  append(reply, *access);
  return 0;
}

int Server::region_write_multi(const Message& message, Reply& reply) {
  const auto count = head<std::uint64_t>(message);
  if (!count) return EINVAL;
  const std::size_t bytes = message.payload.size() - sizeof *count;
  if (bytes % sizeof(SmallWrite) || *count != bytes / sizeof(SmallWrite)) return EINVAL;
  std::vector<SmallWrite> writes(*count);
  if (bytes) std::memcpy(writes.data(), message.payload.data() + sizeof *count, bytes);
  for (const SmallWrite& each : writes) {  // all or none
    if (each.where.count > sizeof each.data) return EINVAL;
    if (const int error = check(each.where, true)) return error;
  }
  for (const SmallWrite& each : writes) write(each.where, std::span(each.data).first(each.where.count));
  append(reply, *count);
  return 0;
}

int Server::reset() {
  config_.reset();
  device_.reset();
  return 0;
}

Server::End Server::serve(Connection& connection, int stop) {
  Message message;
  for (;;) {
    const std::optional<nanoseconds> idle = device_.run();
    pollfd wait[2]{{connection.socket(), POLLIN, 0}, {stop, POLLIN, 0}};
    timespec patience{};
    if (idle) patience = {idle->count() / 1'000'000'000, idle->count() % 1'000'000'000};
    if (ppoll(wait, 2, idle ? &patience : nullptr, nullptr) < 0 && errno != EINTR) return End::stopped;
    if (wait[1].revents) return End::stopped;
    if (!wait[0].revents) continue;
    for (int many = 0; many < 64; ++many) {  // then the device's turn
      const Connection::Got got = connection.receive(message);
      if (got == Connection::Got::end) return End::client_gone;
      if (got == Connection::Got::nonsense) return End::nonsense;
      if (got == Connection::Got::nothing_yet) break;
      const std::optional<Reply> reply = handle(std::move(message));
      if (reply && !connection.send(reply->header, reply->payload, reply->descriptors)) return End::client_gone;
    }
  }
}

}  // namespace faultline::vfio_user
