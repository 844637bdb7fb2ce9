// The functions in which a driver handles faults, invalidations and migrations, and their symbols in a running kernel.
#pragma once

#include <istream>
#include <span>
#include <string>
#include <vector>

namespace faultline {

struct DriverFunction {
  std::vector<std::string> names;  // by kernel version; a kernel has one of them
  const char* what;                // what its calls mean: "invalidations"
};

// For "test_hmm", "nouveau" and "amdgpu"; empty for other drivers.
std::span<const DriverFunction> functions_of(const std::string& driver);

// For each function its symbols in /proc/kallsyms, as kprobes want them ("nouveau:nouveau_svm_fault",
// "dmirror_exclusive.constprop.0"). None if the compiler inlined the function into its callers.
std::vector<std::vector<std::string>> find_symbols(std::istream& kallsyms, std::span<const DriverFunction> functions);

}  // namespace faultline
