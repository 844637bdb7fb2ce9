// How often functions of a device's driver ran during a scenario, if the kernel can count them. This is information for the
// reader of the report. It has no influence on a verdict.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace faultline {

struct DriverCalls {
  struct Function {
    std::string name;  // "dmirror_devmem_fault"
    std::string what;  // what one call means: "CPU faults on device memory"
    std::uint64_t calls = 0;
    std::uint64_t missed = 0;  // calls that the kernel did not count, because a probe's handler made them
    friend bool operator==(const Function&, const Function&) = default;
  };
  std::vector<Function> functions;
  std::vector<std::string> not_counted;  // the driver's functions that could not be counted, and why
  std::string why_none;                  // set when nothing could be counted: why, and what would help

  bool empty() const { return functions.empty() && not_counted.empty() && why_none.empty(); }

  // Adds the counts of another slice of the same trial. That slice may have run on another machine, with other functions.
  void add(const DriverCalls& slice);
  friend bool operator==(const DriverCalls&, const DriverCalls&) = default;
};

// "invalidations 12, device faults 0". Lists functions that were never called too. `with_names` adds the functions' names.
std::string calls_text(const DriverCalls& calls, bool with_names);

// What could not be counted, and why. A single line when nothing could.
std::vector<std::string> lacks(const DriverCalls& calls);

// {"functions":[{"name","what","calls","missed"}],"not_counted":[...],"why_none":""}
nlohmann::json calls_json(const DriverCalls& calls);

}  // namespace faultline
