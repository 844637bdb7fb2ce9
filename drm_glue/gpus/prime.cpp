// drm-prime: shares a buffer between every pair of DRM devices of this machine, as a dma-buf (PRIME).
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xf86drm.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "harness/outcome.h"

namespace faultline {
namespace {

constexpr const char* usage =
    R"(drm-prime: shares a buffer between every pair of DRM devices of this machine, as a dma-buf (PRIME).

usage: drm-prime [--other]

Each card node makes a dumb buffer, maps it and exports it. Each card node, also the same one, imports it. What one side
writes the other must read, in both directions. If a driver cannot map another driver's buffer, the importer exports it
again, and that dma-buf is mapped. Also asks the render nodes for a dumb buffer: only card nodes should make one.

  --other   for tests: imports a different buffer than the compared one

exit status: 0 every shared buffer is one buffer; 1 one is not; 2 bad usage; 3 nothing could be shared
)";

constexpr std::size_t page = 4096, pages = 4;

// What failed, and its errno.
struct Failed {
  std::string what;
  int error;
};

void need(bool done, const char* what) {
  if (!done) throw Failed{what, errno};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  operator int() const { return fd_; }

 private:
  int fd_;
};

class Mapping {
 public:
  Mapping(int fd, off_t offset) : at_(mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset)) {
    need(at_ != MAP_FAILED, "mmap");
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { munmap(at_, pages * page); }
  volatile std::uint32_t& operator[](std::size_t i) const { return static_cast<std::uint32_t*>(at_)[i * page / 4]; }

 private:
  void* at_;
};

// drm_mode_create_dumb(): one row of bytes.
std::uint32_t create(int card) {
  drm_mode_create_dumb request{};
  request.height = pages, request.width = page / 4, request.bpp = 32;
  need(drmIoctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &request) == 0, "create");
  return request.handle;
}

// drm_gem_dumb_map_offset() fails with EINVAL for another driver's buffer.
off_t map_offset(int card, std::uint32_t handle) {
  drm_mode_map_dumb request{};
  request.handle = handle;
  need(drmIoctl(card, DRM_IOCTL_MODE_MAP_DUMB, &request) == 0, "map");
  return static_cast<off_t>(request.offset);
}

Descriptor exported(int card, std::uint32_t handle) {
  int fd = -1;
  need(drmPrimeHandleToFD(card, handle, DRM_CLOEXEC | DRM_RDWR, &fd) == 0, "export");
  return Descriptor(fd);
}

std::uint32_t imported(int card, int dma_buf) {
  std::uint32_t handle = 0;
  need(drmPrimeFDToHandle(card, dma_buf, &handle) == 0, "import");
  return handle;
}

std::unique_ptr<Mapping> mapped(int card, std::uint32_t handle, bool& through_dma_buf) {
  try {
    return std::make_unique<Mapping>(card, map_offset(card, handle));
  } catch (const Failed& failed) {
    if (failed.error != EINVAL) throw;
  }
  through_dma_buf = true;
  return std::make_unique<Mapping>(exported(card, handle), 0);
}

// Stores through `writer` and checks that `reader` sees them. A mapping of a dma-buf must bracket its accesses with
// DMA_BUF_IOCTL_SYNC.
bool arrives(const Mapping& writer, const Mapping& reader, int dma_buf, std::uint32_t value) {
  dma_buf_sync sync{DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW};
  ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &sync);
  bool same = true;
  for (std::size_t i = 0; i < pages; ++i) writer[i] = value + static_cast<std::uint32_t>(i);
  for (std::size_t i = 0; i < pages; ++i) same &= reader[i] == value + i;
  sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
  ioctl(dma_buf, DMA_BUF_IOCTL_SYNC, &sync);
  return same;
}

struct Device {
  std::string driver, card, render;
};

std::string driver_of(const std::string& node) {
  const Descriptor fd(open(node.c_str(), O_RDWR | O_CLOEXEC));
  need(fd >= 0, "open");
  const std::unique_ptr<drmVersion, void (*)(drmVersion*)> version(drmGetVersion(fd), drmFreeVersion);
  need(version != nullptr, "version");
  return {version->name, static_cast<std::size_t>(version->name_len)};
}

std::vector<Device> devices() {
  std::vector<drmDevicePtr> found(64);
  found.resize(static_cast<std::size_t>(std::max(drmGetDevices2(0, found.data(), static_cast<int>(found.size())), 0)));
  std::vector<Device> result;
  for (const drmDevicePtr& each : found) {
    if (!(each->available_nodes & (1 << DRM_NODE_PRIMARY))) continue;
    const bool renders = each->available_nodes & (1 << DRM_NODE_RENDER);
    const std::string card = each->nodes[DRM_NODE_PRIMARY];
    result.push_back({driver_of(card), card, renders ? each->nodes[DRM_NODE_RENDER] : ""});
  }
  drmFreeDevices(found.data(), static_cast<int>(found.size()));
  std::ranges::sort(result, {}, &Device::card);
  return result;
}

enum class Shared { yes, no, refused };

Shared share(const Device& from, const Device& to, bool other) {
  std::printf("%s -> %s: ", from.driver.c_str(), to.driver.c_str());
  try {
    const Descriptor exporter(open(from.card.c_str(), O_RDWR | O_CLOEXEC));
    const Descriptor importer(open(to.card.c_str(), O_RDWR | O_CLOEXEC));
    need(exporter >= 0 && importer >= 0, "open");
    const std::uint32_t compared = create(exporter), another = create(exporter);
    const Descriptor dma_buf = exported(exporter, other ? another : compared);
    bool through_dma_buf = false;
    const Mapping ours(exporter, map_offset(exporter, compared));
    const auto theirs = mapped(importer, imported(importer, dma_buf), through_dma_buf);
    const bool same = arrives(ours, *theirs, dma_buf, 0x1000) && arrives(*theirs, ours, dma_buf, 0x2000);
    std::printf("%s%s\n", same ? "one buffer" : "two buffers", through_dma_buf ? ", mapped through its dma-buf" : "");
    return same ? Shared::yes : Shared::no;
  } catch (const Failed& failed) {
    std::printf("%s: %s\n", failed.what.c_str(), errno_text(failed.error).c_str());
    return Shared::refused;
  }
}

void try_render_node(const Device& device) {
  try {
    const Descriptor node(open(device.render.c_str(), O_RDWR | O_CLOEXEC));
    need(node >= 0, "open");
    create(node);
    std::printf("%s: a dumb buffer\n", device.render.c_str());
  } catch (const Failed& failed) {
    std::printf("%s: %s: %s\n", device.render.c_str(), failed.what.c_str(), errno_text(failed.error).c_str());
  }
}

int main_(bool other) {
  const std::vector<Device> all = devices();
  bool any = false, wrong = false;
  for (const Device& from : all)
    for (const Device& to : all) {
      const Shared shared = share(from, to, other);
      any |= shared != Shared::refused, wrong |= shared == Shared::no;
    }
  for (const Device& device : all)
    if (!device.render.empty()) try_render_node(device);
  return wrong ? 1 : any ? 0 : 3;
}

}  // namespace
}  // namespace faultline

int main(int count, char** words) {
  const std::string word = count == 2 ? words[1] : "";
  if (word == "--help") return std::fputs(faultline::usage, stdout) < 0;
  if (count > 2 || (count == 2 && word != "--other")) {
    std::fprintf(stderr, "drm-prime: unknown argument '%s'; --help lists them\n", words[count - 1]);
    return 2;
  }
  try {
    return faultline::main_(!word.empty());
  } catch (const faultline::Failed& failed) {
    std::fprintf(stderr, "drm-prime: %s: %s\n", failed.what.c_str(), faultline::errno_text(failed.error).c_str());
    return 3;
  }
}
