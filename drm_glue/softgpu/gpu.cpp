#include "drm_glue/softgpu/gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <system_error>

#include "drm_glue/softgpu/vbios.h"

namespace faultline::softgpu {
namespace {

constexpr int most_rounds = 512;  // before the client is listened to again
constexpr unsigned rom_region = vfio_user::Layout::rom;

}  // namespace

// The client gets the file too: it cannot make it shorter.
Vram::Vram(std::uint64_t size) : fd_(memfd_create("softgpu-vram", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
  void* mapped = MAP_FAILED;
  if (fd_ && ftruncate(fd_.get(), static_cast<off_t>(size)) == 0 &&
      fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
  if (mapped == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "memory for VRAM");
  bytes_ = {static_cast<std::byte*>(mapped), size};
}

Vram::~Vram() { munmap(bytes_.data(), bytes_.size()); }

vfio_user::Layout Gpu::layout(const Vram& vram) {
  vfio_user::Layout layout;
  layout.identity = {
      .vendor = amd_vendor, .device = vega20_device, .subsystem_vendor = amd_vendor, .subsystem = 0x0834, .class_code = 0x038000};
  layout.regions[vram_bar] = {
      .size = vram.bytes().size(), .wide = true, .prefetchable = true, .fd = vram.fd(), .memory = vram.bytes()};
  layout.regions[doorbell_bar] = {.size = doorbell_bytes, .wide = true, .prefetchable = true};
  layout.regions[register_bar] = {.size = register_bytes};
  layout.regions[rom_region] = {.size = vbios_bytes, .writable = false};
  return layout;
}

Gpu::Gpu(const Options& options, const Time& time)
    : time_(time),
      log_(time, options.log, "seed " + std::to_string(options.seed) + " vram " + std::to_string(options.vram >> 20) + "M"),
      weather_(options.seed),
      vram_(options.vram),
      rom_(vbios()),
      server_(layout(vram_), *this),
      memory_(vram_.bytes(), server_.dma()),
      ih_(registers_, memory_, time, weather_, log_, [this] { server_.interrupts().signal_msi(); }),
      mmhub_("mmhub", VmHub::mmhub(), registers_, memory_, time, weather_, log_, ih_),
      gfxhub_("gfxhub", VmHub::gfxhub(), registers_, memory_, time, weather_, log_, ih_),
      nbio_(registers_, options.vram, log_),
      gfx_({registers_, *this, gfxhub_, mmhub_, memory_, ih_, time, weather_, log_}),
      sdma_({registers_, *this, mmhub_, memory_, ih_, time, weather_, log_, options.flush_with_queue}) {
  ih_.set_gpu_address([this](std::uint64_t address) { return mmhub_.translate(0, address, true).where; });
  mmhub_.set_broken(options.broken);
  gfxhub_.set_broken(options.broken);
  nbio_.reset();
}

void Gpu::reset() {
  log_("reset");
  registers_.clear();
  ih_.reset();
  mmhub_.reset();
  gfxhub_.reset();
  gfx_.reset();
  sdma_.reset();
  nbio_.reset();
}

std::optional<nanoseconds> Gpu::run() {
  for (int round = 0; round < most_rounds; ++round) {
    std::optional<nanoseconds> next = sooner(mmhub_.run(), gfxhub_.run());
    next = sooner(next, gfx_.run());
    next = sooner(next, sdma_.run());
    next = sooner(next, ih_.run());
    const nanoseconds now = time_.now();
    if (!next) return std::nullopt;
    if (*next > now) return *next - now;
  }
  return nanoseconds(0);
}

std::uint32_t Gpu::read_register(unsigned offset) {
  if (offset >= register_count) return 0;
  if (mmhub_.owns(offset)) return mmhub_.read(offset);
  if (gfxhub_.owns(offset)) return gfxhub_.read(offset);
  if (nbio_.owns(offset)) return nbio_.read(offset);
  if (gfx_.owns(offset)) return gfx_.read(offset);
  if (const SdmaQueue* queue = sdma_.queue_of(offset)) return queue->read(offset);
  if (offset == sdma0::SDMA0_STATUS_REG || offset == sdma1::SDMA1_STATUS_REG) return sdma0::SDMA0_STATUS_REG__IDLE.mask;
  return registers_[offset];
}

void Gpu::write_register(unsigned offset, std::uint32_t value) {
  if (offset >= register_count) return;
  if (mmhub_.owns(offset)) return mmhub_.write(offset, value);
  if (gfxhub_.owns(offset)) return gfxhub_.write(offset, value);
  if (nbio_.owns(offset)) return nbio_.write(offset, value);
  if (gfx_.owns(offset)) return gfx_.write(offset, value);
  if (SdmaQueue* queue = sdma_.queue_of(offset)) return queue->write(offset, value);
  if (ih_.write(offset, value)) return;
  registers_[offset] = value;
}

void Gpu::read(unsigned region, std::uint64_t offset, std::span<std::byte> out) {
  std::ranges::fill(out, std::byte{0});
  if (region == rom_region) std::memcpy(out.data(), rom_.data() + offset, out.size());
  if (region != register_bar) return;
  for (std::size_t at = 0; at < out.size();) {
    const auto name = static_cast<unsigned>((offset + at) / 4);
    const std::size_t within = (offset + at) % 4, part = std::min(out.size() - at, 4 - within);
    const std::uint32_t value = read_register(name);
    if (reads_[name]++ == 0) log_("register %s = %#x", register_name(name).c_str(), value);
    std::memcpy(out.data() + at, reinterpret_cast<const std::byte*>(&value) + within, part);
    at += part;
  }
}

// Registers are written whole.
void Gpu::write(unsigned region, std::uint64_t offset, std::span<const std::byte> in) {
  if (region == doorbell_bar && offset % 4 == 0 && (in.size() == 4 || in.size() == 8)) {
    std::uint64_t value = 0;
    std::memcpy(&value, in.data(), in.size());
    ++doorbells_;
    doorbell(offset, value, in.size());
  }
  if (region != register_bar || offset % 4 != 0) return;
  for (; in.size() >= 4; in = in.subspan(4), offset += 4) {
    const auto name = static_cast<unsigned>(offset / 4);
    std::uint32_t value;
    std::memcpy(&value, in.data(), sizeof value);
    if (writes_[name]++ == 0) log_("register %s <- %#x", register_name(name).c_str(), value);
    write_register(name, value);
  }
}

std::string Gpu::traffic() const {
  constexpr std::size_t named = 8;
  const auto all = [](const std::vector<std::uint32_t>& counts) {
    return std::to_string(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  };
  std::string text = "reads " + all(reads_) + " writes " + all(writes_) + " doorbells " + std::to_string(doorbells_);
  const auto most = [&](const char* what, const std::vector<std::uint32_t>& counts) {
    std::vector<unsigned> order(counts.size());
    std::iota(order.begin(), order.end(), 0u);
    std::ranges::partial_sort(order, order.begin() + named, std::greater(), [&](unsigned name) { return counts[name]; });
    text += std::string(" most ") + what + ":";
    for (std::size_t i = 0; i < named && counts[order[i]]; ++i)
      text += " " + register_name(order[i]) + " " + std::to_string(counts[order[i]]);
  };
  most("read", reads_);
  most("written", writes_);
  return text;
}

void Gpu::doorbell(std::uint64_t offset, std::uint64_t value, std::size_t bytes) {
  if (ih_.doorbell(offset, static_cast<std::uint32_t>(value))) return;
  if (sdma_.doorbell(offset, value, bytes) || gfx_.doorbell(offset, value, bytes)) return;
  log_("doorbell %#lx of nobody", offset);
}

}  // namespace faultline::softgpu
