// Hardware that is broken on purpose, to see whether a bench blames it or its driver.
#pragma once

#include <array>
#include <string_view>

namespace faultline::softgpu {

enum class Broken {
  no,
  skip_invalidate,    // every second invalidation of a process's translations is acknowledged, and not done
  drop_fault,         // every fourth access that should wait for its fault ends instead, and the driver is not told
  writes_freed_page,  // after an invalidation every second page gets one more write by its old translation
};

struct BrokenName {
  std::string_view name;
  Broken broken;
};
inline constexpr std::array broken_names = {
    BrokenName{"skip-invalidate", Broken::skip_invalidate},
    BrokenName{"drop-fault", Broken::drop_fault},
    BrokenName{"writes-freed-page", Broken::writes_freed_page},
};

}  // namespace faultline::softgpu
