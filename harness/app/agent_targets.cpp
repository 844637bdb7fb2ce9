#include "harness/app/agent_targets.h"

#include "drm_glue/dmirror.h"
#include "drm_glue/host.h"
#include "drm_glue/pinned.h"

namespace faultline::agent {

std::vector<std::unique_ptr<Target>> kernel_targets() {
  std::vector<std::unique_ptr<Target>> targets;
  targets.push_back(std::make_unique<HostTarget>());
  targets.push_back(std::make_unique<DmirrorTarget>());
  targets.push_back(std::make_unique<PinnedTarget>());
  return targets;
}

}  // namespace faultline::agent
