// How often functions of a device's driver ran while a scenario did, where the kernel lets them be counted. An
// observation for the person who reads the report: no verdict is made of it.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace faultline {

struct DriverCalls {
  struct Function {
    std::string name;  // "dmirror_devmem_fault"
    std::string what;  // its calls are: "CPU faults on device memory"
    std::uint64_t calls = 0;
    std::uint64_t missed = 0;  // calls that the kernel's own count leaves out: made by a probe's handler
    friend bool operator==(const Function&, const Function&) = default;
  };
  std::vector<Function> functions;
  std::vector<std::string> not_counted;  // the others of the driver, and why
  std::string why_none;                  // nothing is counted: why, and what would help

  bool empty() const { return functions.empty() && not_counted.empty() && why_none.empty(); }

  // Of another slice of the same trial: another machine of its place may tell of other functions.
  void add(const DriverCalls& slice);
  friend bool operator==(const DriverCalls&, const DriverCalls&) = default;
};

// "invalidations 12, device faults 0": each function, also one that was never called; with its name where it is asked for.
std::string calls_text(const DriverCalls& calls, bool with_names);

// What is not counted, and why; one line where nothing is.
std::vector<std::string> lacks(const DriverCalls& calls);

// {"functions":[{"name","what","calls","missed"}],"not_counted":[...],"why_none":""}
nlohmann::json calls_json(const DriverCalls& calls);

}  // namespace faultline
