// What the requests of DRM, amdgpu, nouveau and KFD are called, and which memory they point to.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace faultline::record {

// Bytes that differ between two runs that ask the same.
enum class Loose { pointer, address, descriptor, time };
struct LooseField {
  unsigned at, bytes;
  Loose kind;
};

struct Shape;
// A pointer, and the elements that it points to: as many as a field beside it says.
struct Pointer {
  unsigned at;
  unsigned count_at, count_bytes;  // no bytes: one element
  unsigned unit;                   // bytes of an element
  bool filled = false;             // the kernel writes there, and does not read
  const Shape* element = nullptr;  // where it has pointers of its own
};
struct Shape {
  std::span<const Pointer> pointers;
  std::span<const LooseField> loose;  // besides the pointers
};

struct Known {
  std::string_view name;         // empty: not known
  const Shape* shape = nullptr;  // null: not known, so that nothing is followed
};
// Of the driver ("amdgpu", "nouveau", "kfd", another), a request's number. The number of bytes in it does not matter.
Known look_up(std::string_view driver, std::uint32_t request);

}  // namespace faultline::record
