// Transparent huge pages in the processes under test. Whatever the machine's setting, they are off (PR_SET_THP_DISABLE) unless
// the Program asks for them. Then they are on once the regions are populated, and only where the Program advises them. If the
// executor cannot keep the kernel from making others, that is a capability of the machine.
#pragma once

#include <string>

namespace faultline {

// Both apply to the calling process and to children that it forks later. They give an errno, 0 for success.
int forbid_huge_pages();
int allow_advised_huge_pages();

struct HugePageSettings {
  bool anonymous = false;  // the kernel makes huge pages without advice, and the executor cannot prevent it
  bool shared = false;     // the kernel makes huge pages in shared memory
};
// The settings of this machine. `folder` is the sysfs folder.
HugePageSettings huge_page_settings(const std::string& folder = "/sys/kernel/mm/transparent_hugepage");

// The chosen word of a setting: "madvise" for "always [madvise] never".
std::string chosen_word(const std::string& text);

}  // namespace faultline
