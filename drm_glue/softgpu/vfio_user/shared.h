// Memory that a driver uses at the same time: every access is an atomic one of the largest aligned size, so that a value
// that the driver writes at once is never seen in halves.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace faultline::vfio_user {

// Of an aligned address.
template <class T>
T load_shared(const std::byte* at) {
  return std::atomic_ref<T>(*reinterpret_cast<T*>(const_cast<std::byte*>(at))).load(std::memory_order_acquire);
}
template <class T>
void store_shared(std::byte* at, T value) {
  std::atomic_ref<T>(*reinterpret_cast<T*>(at)).store(value, std::memory_order_release);
}

inline bool aligned(const std::byte* at, std::size_t size) { return reinterpret_cast<std::uintptr_t>(at) % size == 0; }

// Copies words of the largest size to which both addresses are aligned. Either or both may be shared.
inline void copy_shared(std::byte* to, const std::byte* from, std::size_t size) {
  const auto by = [&]<class T>(T) {
    for (; size >= sizeof(T); size -= sizeof(T), to += sizeof(T), from += sizeof(T)) {
      const T value = std::atomic_ref<T>(*reinterpret_cast<T*>(const_cast<std::byte*>(from))).load(std::memory_order_acquire);
      std::atomic_ref<T>(*reinterpret_cast<T*>(to)).store(value, std::memory_order_release);
    }
  };
  if (aligned(to, 8) && aligned(from, 8)) by(std::uint64_t{});
  if (aligned(to, 4) && aligned(from, 4)) by(std::uint32_t{});
  by(std::uint8_t{});
}

}  // namespace faultline::vfio_user
