#include "kernels_ref/drivers/driver.h"

#include <array>
#include <utility>

#include "harness/language/words.h"

namespace faultline::ref {

const Driver& driver_of(DeviceClass device_class) {
  constexpr auto classes = std::make_index_sequence<words::device_classes.size()>();
  return []<std::size_t... each>(DeviceClass asked, std::index_sequence<each...>)->const Driver& {
    static const std::array drivers{&driver<static_cast<DeviceClass>(each)>()...};
    return *drivers[static_cast<std::size_t>(asked)];
  }
  (device_class, classes);
}

}  // namespace faultline::ref
