// Page frame numbers from /proc/PID/pagemap.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "drm_glue/kernel.h"
#include "harness/executor/executor.h"

namespace faultline {

// Bits of one 64-bit entry (Documentation/admin-guide/mm/pagemap.rst).
namespace pagemap {
inline constexpr std::uint64_t present = std::uint64_t{1} << 63;
inline constexpr std::uint64_t frame_mask = (std::uint64_t{1} << 55) - 1;
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

// Empty when frames can be read here; else why not.
std::string frames_unavailable(Kernel& kernel);

}  // namespace faultline
