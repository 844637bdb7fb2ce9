#include "drm_glue/softgpu/virtual_memory.h"

#include <algorithm>
#include <array>

#include "drm_glue/softgpu/vfio_user/shared.h"

namespace faultline::softgpu {

using vfio_user::copy_shared;

VirtualMemory::Place VirtualMemory::place(unsigned vmid, std::uint64_t address, std::uint64_t size, bool write) {
  const Translation found = hub_.translate(vmid, address, write);
  Place result;
  result.left = gpu_page - address % gpu_page;
  if (!found.where) {
    result.dropped = true;
    if (found.fault.retry) {
      result.dropped = hub_.drops(found.fault);
      if (!result.dropped) result.fault = found.fault;
      return result;
    }
    const std::uint64_t page = address / gpu_page << 4 | vmid;
    if (told_ != page) hub_.tell(found.fault, ring_);
    told_ = page;
    return result;
  }
  result.left = std::min(result.left, found.left);
  result.at = memory_.at(*found.where, std::min(size, result.left), write);
  if (!result.at) log_("bus error %s %#lx", found.where->system ? "system" : "vram", found.where->address);
  return result;
}

std::optional<Fault> VirtualMemory::read(unsigned vmid, std::uint64_t address, std::span<std::byte> to) {
  while (!to.empty()) {
    const Place from = place(vmid, address, to.size(), false);
    if (from.fault) return from.fault;
    const auto part = to.first(std::min<std::uint64_t>(to.size(), from.left));
    if (from.at) copy_shared(part.data(), from.at, part.size());
    else std::ranges::fill(part, from.dropped ? std::byte{0} : std::byte{0xff});
    to = to.subspan(part.size());
    address += part.size();
  }
  return std::nullopt;
}

std::optional<Fault> VirtualMemory::write(unsigned vmid, std::uint64_t address, std::span<const std::byte> from) {
  while (!from.empty()) {
    const Place to = place(vmid, address, from.size(), true);
    if (to.fault) return to.fault;
    const auto part = from.first(std::min<std::uint64_t>(from.size(), to.left));
    if (to.at) copy_shared(to.at, part.data(), part.size());
    from = from.subspan(part.size());
    address += part.size();
  }
  return std::nullopt;
}

std::optional<Fault> VirtualMemory::copy(unsigned vmid, std::uint64_t to, std::uint64_t from, std::uint64_t size) {
  const Place source = place(vmid, from, size, false);
  if (source.fault) return source.fault;
  const Place target = place(vmid, to, size, true);
  if (target.fault || !target.at) return target.fault;
  size = std::min({size, source.left, target.left});
  if (source.at) {
    if (source.at < target.at + size && target.at < source.at + size) {  // they overlap: as if read before
      alignas(8) std::array<std::byte, gpu_page> between;
      copy_shared(between.data(), source.at, size);
      copy_shared(target.at, between.data(), size);
    } else {
      copy_shared(target.at, source.at, size);
    }
  } else {
    alignas(8) std::array<std::byte, gpu_page> none;
    none.fill(source.dropped ? std::byte{0} : std::byte{0xff});
    copy_shared(target.at, none.data(), size);
  }
  return std::nullopt;
}

}  // namespace faultline::softgpu
