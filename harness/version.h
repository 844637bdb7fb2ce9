#pragma once

namespace faultline {

// Of the program and its agents: the newest one in CHANGELOG.md.
inline constexpr const char* version = "0.1.0";

}  // namespace faultline
