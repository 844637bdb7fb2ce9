// A vfio-user server for one PCI device and one client. Nothing that the client sends is believed: sizes, offsets and counts
// are checked here, so that a device only sees accesses within its regions.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "drm_glue/softgpu/vfio_user/connection.h"
#include "drm_glue/softgpu/vfio_user/device.h"
#include "drm_glue/softgpu/vfio_user/dma.h"
#include "drm_glue/softgpu/vfio_user/interrupts.h"

namespace faultline::vfio_user {

struct Reply {
  Header header;
  std::vector<std::byte> payload;
  std::vector<int> descriptors;  // stay their owner's
};

class Server {
 public:
  // The device's own parts use dma() and interrupts(), which live as long as the server.
  Server(const Layout& layout, Device& device);

  // What is to be sent, if anything. It also counts what was refused.
  std::optional<Reply> handle(Message message);

  DmaMap& dma() { return dma_; }
  Interrupts& interrupts() { return interrupts_; }
  const PciConfig& config() const { return config_; }
  std::uint64_t refused() const { return refused_; }

  enum class End { client_gone, nonsense, stopped };
  // Until the client is gone or `stop` can be read.
  End serve(Connection& connection, int stop);

 private:
  int answer(Message& message, Reply& reply);
  int version(const Message& message, Reply& reply);
  int dma_map(Message& message);
  int dma_unmap(const Message& message, Reply& reply);
  int get_info(const Message& message, Reply& reply) const;
  int get_region_info(const Message& message, Reply& reply) const;
  int get_irq_info(const Message& message, Reply& reply) const;
  int set_irqs(Message& message);
  int region_read(const Message& message, Reply& reply);
  int region_write(const Message& message, Reply& reply);
  int region_write_multi(const Message& message, Reply& reply);
  int reset();

  // The size of a region, and whether that access is within it. An errno.
  int check(const Access& access, bool write) const;
  void write(const Access& access, std::span<const std::byte> data);

  Layout layout_;
  Device& device_;
  PciConfig config_;
  DmaMap dma_;
  Interrupts interrupts_;
  bool negotiated_ = false;
  std::uint64_t refused_ = 0;
};

}  // namespace faultline::vfio_user
