// Accesses of an engine by GPU addresses. Each either is done, or has faulted in a way that it has to wait for.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <span>

#include "drm_glue/softgpu/vmhub.h"

namespace faultline::softgpu {

class VirtualMemory {
 public:
  VirtualMemory(VmHub& hub, const Memory& memory, Log& log, std::uint8_t ring)
      : hub_(hub), memory_(memory), log_(log), ring_(ring) {}

  // A fault to wait for; none: done. What faults without a retry reads as 0 and is not written, and the driver is told once;
  // what no memory answers reads as all ones.
  std::optional<Fault> read(unsigned vmid, std::uint64_t address, std::span<std::byte> to);
  std::optional<Fault> write(unsigned vmid, std::uint64_t address, std::span<const std::byte> from);
  // Within a page on both sides.
  std::optional<Fault> copy(unsigned vmid, std::uint64_t to, std::uint64_t from, std::uint64_t size);
  // Changes an aligned word at once.
  template <class T>
  std::optional<Fault> update(unsigned vmid, std::uint64_t address, const std::function<T(T)>& change);

  template <class T>
  std::optional<Fault> load(unsigned vmid, std::uint64_t address, T& value) {
    return read(vmid, address, std::as_writable_bytes(std::span(&value, 1)));
  }
  template <class T>
  std::optional<Fault> store(unsigned vmid, std::uint64_t address, const T& value) {
    return write(vmid, address, std::as_bytes(std::span(&value, 1)));
  }
  VmHub& hub() { return hub_; }

 private:
  struct Place {
    std::byte* at = nullptr;  // null: nothing is there
    std::uint64_t left = 0;
    std::optional<Fault> fault;  // to wait for
    bool dropped = false;        // it faulted without a retry
  };
  Place place(unsigned vmid, std::uint64_t address, std::uint64_t size, bool write);

  VmHub& hub_;
  const Memory& memory_;
  Log& log_;
  std::uint8_t ring_;
  std::uint64_t told_ = ~std::uint64_t{0};  // the page of the last fault without a retry, with its VMID
};

template <class T>
std::optional<Fault> VirtualMemory::update(unsigned vmid, std::uint64_t address, const std::function<T(T)>& change) {
  if (address % sizeof(T)) return std::nullopt;  // hardware refuses it
  const Place where = place(vmid, address, sizeof(T), true);
  if (where.fault || !where.at) return where.fault;
  std::atomic_ref<T> word(*reinterpret_cast<T*>(where.at));
  T old = word.load();
  while (!word.compare_exchange_weak(old, change(old))) {}
  return std::nullopt;
}

}  // namespace faultline::softgpu
