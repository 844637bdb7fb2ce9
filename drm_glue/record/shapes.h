// Names of the requests of DRM, amdgpu, nouveau and KFD, and the memory that they point to.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace faultline::record {

// Fields that differ between two runs although they make the same request.
enum class Loose { pointer, address, descriptor, time };
struct LooseField {
  unsigned at, bytes;
  Loose kind;
};

struct Shape;
// A pointer to an array. Another field of the same structure has the number of elements.
struct Pointer {
  unsigned at;
  unsigned count_at, count_bytes;  // count_bytes 0: one element
  unsigned unit;                   // bytes per element
  bool filled = false;             // the kernel only writes there
  const Shape* element = nullptr;  // if the elements have pointers of their own
};
struct Shape {
  std::span<const Pointer> pointers;
  std::span<const LooseField> loose;  // besides the pointers
};

struct Known {
  std::string_view name;         // empty: not known
  const Shape* shape = nullptr;  // null: not known, so no pointers are followed
};
// Looks up a driver's request ("amdgpu", "nouveau", "kfd", others) by its number. The size field in it does not matter.
Known look_up(std::string_view driver, std::uint32_t request);

}  // namespace faultline::record
