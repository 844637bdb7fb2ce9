#pragma once

namespace faultline {

// The version of the program and of its agents. It must be the newest one in CHANGELOG.md.
inline constexpr const char* version = "0.1.0";

}  // namespace faultline
