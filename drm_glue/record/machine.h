// What a trace tells of the machine: enough to mock its GPUs.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace faultline::record {

// "kernel"; "devices": the GPUs on PCI, the nodes of DRM and KFD with its topology, in umockdev's format; "nodes": their
// modes and groups; "parameters" of the drivers' modules; "kernel_config": some of its options, null where unknown.
nlohmann::json describe_machine();

}  // namespace faultline::record
