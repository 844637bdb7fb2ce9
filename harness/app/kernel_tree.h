// A Linux tree in which a kernel was built: the lab runs that kernel when faultline is called from inside the tree.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace faultline::app {

struct KernelTree {
  std::string folder;  // the build tree: that of the source, or another one (make O=...)
  std::string image;   // its bzImage
  std::string source;
};

// The tree in or above which `from` is, if a kernel for x86 was built there.
std::optional<KernelTree> kernel_tree(const std::filesystem::path& from);

// "commit 0123456789ab", "commit 0123456789ab with changes"; empty if git does not tell. Takes git a second or two.
std::string commit_of(const KernelTree& tree);

// Whether `from` is in a Linux source tree in which no kernel for x86 was built.
bool in_unbuilt_source(const std::filesystem::path& from);

// Whether the tree has amdgpu as a module.
bool has_amdgpu(const KernelTree& tree);

}  // namespace faultline::app
