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
inline constexpr int swap_type_bits = 5;  // low bits of the frame field of such an entry; the offset is above them
}  // namespace pagemap

class PagemapFrames : public Frames {
 public:
  explicit PagemapFrames(Kernel& kernel) : kernel_(kernel) {}
  // Nothing if the page is not present (also if it is swapped or device-private), or if the kernel hides frame numbers
  // (they read as 0 without CAP_SYS_ADMIN).
  std::optional<std::uint64_t> frame(pid_t pid, std::uintptr_t address) override;

 private:
  Kernel& kernel_;
};

// Finds where a page of the calling process is; returns an errno. `device_memory`: the name of the device's memory in
// /proc/iomem (the driver passed it to request_free_mem_region()). The entry of a page in device memory has the page's
// frame number, and the frame decides. The swap type cannot: its numbers depend on the kernel's configuration, and the
// entries of migrating and device-exclusive pages hold frame numbers too. Allocates nothing.
int page_location(Kernel& kernel, std::uintptr_t address, std::string_view device_memory, Location& location);

// Empty if frames can be read here; else why not.
std::string frames_unavailable(Kernel& kernel);

}  // namespace faultline
