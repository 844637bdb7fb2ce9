// What a process tells of its pages at the end, before anything touches them: through a descriptor of a device.
#pragma once

#include "harness/executor/operation.h"

namespace faultline {

// The command that a process answers the observe to; Command::none where the runner sees it by itself.
Command answered_by(Observe::Kind kind);

// In the process, when the runner has told it to look.
void answer_looks(ProcessContext& context);

}  // namespace faultline
