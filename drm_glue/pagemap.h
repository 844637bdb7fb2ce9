// Page frame numbers from /proc/PID/pagemap.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "drm_glue/kernel.h"
#include "harness/executor/executor.h"
#include "harness/target.h"

namespace faultline {

// Bits of one 64-bit entry (Documentation/admin-guide/mm/pagemap.rst).
namespace pagemap {
inline constexpr std::uint64_t present = std::uint64_t{1} << 63;
inline constexpr std::uint64_t swapped = std::uint64_t{1} << 62;  // any entry that is neither present nor none
inline constexpr std::uint64_t frame_mask = (std::uint64_t{1} << 55) - 1;
inline constexpr int swap_type_bits = 5;  // of such an entry's frame; above them its offset
}  // namespace pagemap

class PagemapFrames : public Frames {
 public:
  explicit PagemapFrames(Kernel& kernel) : kernel_(kernel) {}
  // Nothing for a page that is not present (swapped and device-private ones included), and where the
  // kernel hides frame numbers (they read as 0 without CAP_SYS_ADMIN).
  std::optional<std::uint64_t> frame(pid_t pid, std::uintptr_t address) override;

 private:
  Kernel& kernel_;
};

// Where a page of the calling process is, for a device whose memory /proc/iomem lists under this name (as
// request_free_mem_region() has got it). An errno. The entry of a page in device memory names its frame, and that is
// what tells: the numbers of the types of such entries depend on the kernel's configuration, and those of pages that
// migrate, or that a device has for itself, name frames as well. Nothing is allocated.
int page_location(Kernel& kernel, std::uintptr_t address, std::string_view device_memory, Location& location);

// Empty when frames can be read here; else why not.
std::string frames_unavailable(Kernel& kernel);

}  // namespace faultline
