// The client's memory: what it has mapped, and nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "drm_glue/softgpu/vfio_user/wire.h"

namespace faultline::vfio_user {

// A client that makes a file shorter than what it has mapped of it ends the server by SIGBUS.
class DmaMap {
 public:
  DmaMap() = default;
  DmaMap(const DmaMap&) = delete;
  DmaMap& operator=(const DmaMap&) = delete;
  ~DmaMap() { unmap_all(); }

  static constexpr std::size_t most = 1024;

  // Without a descriptor (-1) the range is known, but cannot be reached. An errno.
  int map(const DmaMapRequest& request, int fd);
  // Exactly what was mapped. An errno.
  int unmap(std::uint64_t address, std::uint64_t size);
  void unmap_all();

  // Null where not all of it was mapped at once, or not for that.
  std::byte* at(std::uint64_t address, std::uint64_t size, bool write) const;
  std::size_t count() const { return ranges_.size(); }

 private:
  struct Range {
    std::uint64_t size;
    std::byte* memory;  // null: cannot be reached
    bool readable, writable;
  };
  std::map<std::uint64_t, Range> ranges_;  // by address; none overlap
};

}  // namespace faultline::vfio_user
