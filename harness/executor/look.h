// Asks the device driver about pages at the end, before anything touches them. The process asks through its descriptors.
#pragma once

#include "harness/executor/operation.h"

namespace faultline {

// The command to which a process answers the observe. Command::none if the runner answers it without the process.
Command answered_by(Observe::Kind kind);

// Called in the process when the runner sent Command::look.
void answer_looks(ProcessContext& context);

}  // namespace faultline
