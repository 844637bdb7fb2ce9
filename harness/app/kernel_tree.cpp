#include "harness/app/kernel_tree.h"

#include <functional>

#include "harness/app/app.h"
#include "results/report.h"

namespace faultline::app {
namespace fs = std::filesystem;
namespace {

constexpr const char* image = "arch/x86/boot/bzImage";

// The first folder, from `from` upwards, for which `is` holds.
std::optional<fs::path> nearest(const fs::path& from, const std::function<bool(const fs::path&)>& is) {
  std::error_code error;
  for (fs::path folder = fs::absolute(from, error); !folder.empty(); folder = folder.parent_path()) {
    if (is(folder)) return folder;
    if (folder == folder.root_path()) break;
  }
  return std::nullopt;
}

}  // namespace

std::optional<KernelTree> kernel_tree(const fs::path& from) {
  std::error_code error;
  const auto folder = nearest(from, [&](const fs::path& each) {
    return fs::exists(each / "include/config/kernel.release", error) && fs::is_regular_file(each / image, error);
  });
  if (!folder) return std::nullopt;
  const fs::path source = *folder / "source";  // a link that make O= makes
  return KernelTree{*folder, *folder / image, fs::exists(source, error) ? source : *folder};
}

// Changes of tracked files only: a build leaves many others.
std::string commit_of(const KernelTree& tree) {
  const std::string git = "git -C " + shell_word(tree.source) + " ";
  const Answer commit = answer_of(git + "rev-parse --short=12 HEAD");
  if (commit.status != 0) return {};
  const bool changed = answer_of(git + "diff-index --quiet HEAD --").status != 0;
  return "commit " + commit.words + (changed ? " with changes" : "");
}

bool in_unbuilt_source(const fs::path& from) {
  std::error_code error;
  const auto folder = nearest(
      from, [&](const fs::path& each) { return fs::exists(each / "Kbuild", error) && fs::exists(each / "arch/x86", error); });
  return folder && !kernel_tree(*folder);
}

bool has_amdgpu(const KernelTree& tree) {
  std::error_code error;
  return fs::exists(fs::path(tree.folder) / "drivers/gpu/drm/amd/amdgpu/amdgpu.ko", error);
}

}  // namespace faultline::app
