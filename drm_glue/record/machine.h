// Describes the machine in a trace, in enough detail to mock its GPUs.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace faultline::record {

// "kernel": its release. "devices": the GPUs on PCI, the DRM nodes, KFD and its topology, in umockdev's format. "nodes": the
// modes and groups of the device nodes. "parameters": of the drivers' modules. "kernel_config": some options; null if
// unknown.
nlohmann::json describe_machine();

}  // namespace faultline::record
