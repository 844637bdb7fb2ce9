// Counts how often driver functions run, with kprobe events (Documentation/trace/kprobetrace.rst) in a tracefs instance
// of our own. Other tracing on the machine is not disturbed. Nothing is written to a trace buffer: the counts are in
// kprobe_profile.
//
// The destructor removes the probes and the instance. What a killed process left behind, the next process removes.
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

  // Starts counting the calls, whoever on the machine makes them. Does nothing without drivers.
  void begin(const std::set<std::string>& drivers);
  void begin(const std::vector<DriverFunction>& functions);
  // The calls since begin(). The probes stay in place, because the next begin() is likely to want the same ones.
  DriverCalls end();

 private:
  struct Count {
    std::uint64_t calls = 0, missed = 0;
  };
  struct Probe {
    std::string event;
    std::size_t function;  // index into functions_
    std::string name;      // the function's name in this kernel
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
  std::string tracefs_, name_;  // name_: of our instance and of the probes' group
  std::vector<Probe> probes_;
  int held_ = -1;     // an open file of the instance, so that nobody can remove the instance by mistake
  DriverCalls told_;  // what cannot be counted
};

}  // namespace faultline
