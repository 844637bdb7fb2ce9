#include "harness/executor/huge_pages.h"

#include <errno.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string_view>

namespace faultline {
namespace {

constexpr unsigned long except_advised = 1UL << 1;  // PR_THP_DISABLE_EXCEPT_ADVISED, since 6.18

int disable(bool disabled, unsigned long flags) { return prctl(PR_SET_THP_DISABLE, disabled, flags, 0, 0) == 0 ? 0 : errno; }

// Whether the file's chosen word is one of these.
bool chooses(const std::filesystem::path& file, std::initializer_list<std::string_view> words) {
  std::ifstream in(file);
  std::string text;
  std::getline(in, text);
  const std::string chosen = chosen_word(text);
  return std::ranges::find(words, chosen) != words.end();
}

// The setting for all sizes, or that of one size.
bool makes_any(const std::string& folder, const char* name, std::initializer_list<std::string_view> words) {
  const bool all = chooses(std::filesystem::path(folder) / name, words);
  if (all) return true;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none))
    if (entry.path().filename().string().starts_with("hugepages-") && chooses(entry.path() / name, words)) return true;
  return false;
}

// Tries the flag out, and restores the state of the process.
bool has_except_advised() {
  const int before = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
  if (disable(true, except_advised) != 0) return false;
  disable(before > 0, before > 1 ? except_advised : 0);
  return true;
}

}  // namespace

std::string chosen_word(const std::string& text) {
  const std::size_t begin = text.find('['), end = text.find(']');
  return begin == std::string::npos || end == std::string::npos || end < begin ? "" : text.substr(begin + 1, end - begin - 1);
}

int forbid_huge_pages() { return disable(true, 0); }

int allow_advised_huge_pages() { return disable(true, except_advised) == 0 ? 0 : disable(false, 0); }

HugePageSettings huge_page_settings(const std::string& folder) {
  return {.anonymous = makes_any(folder, "enabled", {"always"}) && !has_except_advised(),
          .shared = makes_any(folder, "shmem_enabled", {"always", "within_size", "advise", "force"})};
}

}  // namespace faultline
