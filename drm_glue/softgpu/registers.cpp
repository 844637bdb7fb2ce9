#include "drm_glue/softgpu/registers.h"

#include <algorithm>
#include <iterator>

namespace faultline::softgpu {
namespace {

struct Name {
  unsigned offset;
  const char* name;
};
constexpr Name names[]{
#include "drm_glue/softgpu/register_names.inc"
};

}  // namespace

std::string register_name(unsigned offset) {
  const Name* found = std::ranges::lower_bound(names, offset, {}, &Name::offset);
  return found != std::end(names) && found->offset == offset ? found->name : std::to_string(offset);
}

}  // namespace faultline::softgpu
