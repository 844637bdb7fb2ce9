// Counts how often functions of drivers run: kprobe events (Documentation/trace/kprobetrace.rst), enabled in an
// instance of tracefs of our own. Whatever else is traced on the machine stays as it is. Nothing goes into a trace
// buffer; kprobe_profile has the counts.
//
// Probes and instance are gone with the object. Those that a killed process left are removed by the next one.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "drm_glue/health/driver_functions.h"
#include "drm_glue/kernel.h"
#include "harness/driver_calls.h"

namespace faultline {

class DriverTrace {
 public:
  // `places`: where tracefs may be.
  explicit DriverTrace(Kernel& kernel = real_kernel(),
                       std::vector<std::string> places = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"},
                       std::string kallsyms = "/proc/kallsyms");
  ~DriverTrace() { disarm(); }
  DriverTrace(const DriverTrace&) = delete;
  DriverTrace& operator=(const DriverTrace&) = delete;

  // From now on, by anyone on the machine. Without drivers, nothing is done.
  void begin(const std::set<std::string>& drivers);
  void begin(const std::vector<DriverFunction>& functions);
  // Since begin(). The probes stay where they are: the next begin() is likely to want them.
  DriverCalls end();

 private:
  struct Count {
    std::uint64_t calls = 0, missed = 0;
  };
  struct Probe {
    std::string event;
    std::size_t function;  // of functions_
    std::string name;      // which of its names
    Count before;
  };

  void arm();
  void disarm();
  bool find_tracefs();
  void remove_leftovers();
  bool make_instance();
  void add_probes();
  bool tell(const std::string& path, const std::string& words, int more_flags = 0);
  bool fail(const std::string& what, int error);
  std::map<std::string, Count> profile();

  Kernel& kernel_;
  const std::vector<std::string> places_;
  const std::string kallsyms_;
  std::vector<DriverFunction> functions_;
  std::string tracefs_, name_;  // the latter of the instance, and of the probes' group
  std::vector<Probe> probes_;
  int held_ = -1;     // a file of the instance: nobody can remove it as long as this is open, not even by mistake
  DriverCalls told_;  // what cannot be counted
};

}  // namespace faultline
