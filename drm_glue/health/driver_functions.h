// The functions of a driver that tell of its faults, invalidations and migrations, and how a running kernel calls them.
#pragma once

#include <istream>
#include <span>
#include <string>
#include <vector>

namespace faultline {

struct DriverFunction {
  std::vector<std::string> names;  // one of them, whichever the kernel has
  const char* what;                // its calls are
};

// Of "test_hmm", "nouveau" or "amdgpu"; none of another driver.
std::span<const DriverFunction> functions_of(const std::string& driver);

// The symbols of /proc/kallsyms that are the function, as kprobes want them ("nouveau:nouveau_svm_fault",
// "dmirror_exclusive.constprop.0"), for each of these functions; none where the compiler made it part of its callers.
std::vector<std::vector<std::string>> find_symbols(std::istream& kallsyms, std::span<const DriverFunction> functions);

}  // namespace faultline
