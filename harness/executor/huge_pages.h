// Transparent huge pages of the processes under test. They are turned off (PR_SET_THP_DISABLE), whatever the machine's setting
// is, but for Programs that ask for them: those have them once their regions are populated, and only where the Program advises
// them. What the kernel cannot be kept from is a capability of the machine.
#pragma once

#include <string>

namespace faultline {

// For the calling process and those that it forks. An errno, 0 for success.
int forbid_huge_pages();
int allow_advised_huge_pages();

struct HugePageSettings {
  bool anonymous = false;  // the kernel makes them where nobody advised it to, and cannot be kept from that
  bool shared = false;     // it makes them in shared memory
};
// Of this machine; `folder` is that of sysfs.
HugePageSettings huge_page_settings(const std::string& folder = "/sys/kernel/mm/transparent_hugepage");

// The word of "always [madvise] never" that is chosen.
std::string chosen_word(const std::string& text);

}  // namespace faultline
