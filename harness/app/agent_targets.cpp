#include "harness/app/agent_targets.h"

#include <iterator>

#include "drm_glue/dmirror.h"
#include "drm_glue/host.h"
#include "drm_glue/pinned.h"

namespace faultline::agent {

void add(Targets& targets, Targets more) {
  targets.insert(targets.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

Targets kernel_targets() {
  Targets targets;
  targets.push_back(std::make_unique<HostTarget>());
  targets.push_back(std::make_unique<DmirrorTarget>());
  targets.push_back(std::make_unique<PinnedTarget>());
  return targets;
}

}  // namespace faultline::agent
