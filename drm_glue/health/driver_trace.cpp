#include "drm_glue/health/driver_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace faultline {
namespace {

namespace fs = std::filesystem;

const std::string prefix = "faultline_";

// "faultline_123" and "faultline_123_4" belong to process 123.
bool owner_is_dead(const std::string& name) {
  const int pid = std::atoi(name.c_str() + prefix.size());
  return pid > 0 && kill(pid, 0) != 0 && errno == ESRCH;
}

// "svm_range_restore_pages" from "amdgpu:svm_range_restore_pages.isra.0".
std::string function_name(const std::string& symbol) {
  const std::size_t colon = symbol.find(':');
  const std::size_t start = colon == symbol.npos ? 0 : colon + 1;
  return symbol.substr(start, symbol.find('.') - start);
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " or ") + name;
  return text;
}

}  // namespace

DriverTrace::DriverTrace(Kernel& kernel, std::vector<std::string> places, std::string kallsyms)
    : kernel_(kernel), places_(std::move(places)), kallsyms_(std::move(kallsyms)) {}

// Writes to a file of tracefs with a single write(), so that an errno belongs to these words.
bool DriverTrace::tell(const std::string& path, const std::string& words, int more_flags) {
  const int fd = kernel_.open(path.c_str(), O_WRONLY | more_flags);
  if (fd < 0) return false;
  const bool done = kernel_.write(fd, words.data(), words.size()) == static_cast<ssize_t>(words.size());
  const int error = errno;
  kernel_.close(fd);
  errno = error;
  return done;
}

bool DriverTrace::fail(const std::string& what, int error) {
  told_.why_none = what + ": " + strerror(error);
  if (error == EPERM || error == EACCES)
    told_.why_none += geteuid() != 0 ? "; run as root"
                                     : "; the kernel is locked down, or this is a container: run outside, with "
                                       "lockdown off (/sys/kernel/security/lockdown)";
  return false;
}

// Finds the tracefs in which kprobe events can be made.
bool DriverTrace::find_tracefs() {
  const auto opens = [&](const std::string& path, int flags) {
    const int fd = kernel_.open(path.c_str(), flags);
    if (fd >= 0) kernel_.close(fd);
    return fd >= 0;
  };
  for (const std::string& place : places_) {
    // Never O_TRUNC: that would remove everyone's probes.
    if (opens(place + "/kprobe_events", O_WRONLY | O_APPEND)) {
      tracefs_ = place;
      return true;
    }
    if (errno != ENOENT) return fail(place + "/kprobe_events", errno);
  }
  const bool mounted = std::ranges::any_of(places_, [&](const auto& place) { return opens(place + "/README", O_RDONLY); });
  told_.why_none =
      mounted ? "this kernel has no kprobe events: it needs CONFIG_KPROBES and CONFIG_KPROBE_EVENTS"
              : "there is no tracefs: mount -t tracefs tracefs " + places_.front() + ", on a kernel with CONFIG_KPROBE_EVENTS";
  return false;
}

void DriverTrace::begin(const std::set<std::string>& drivers) {
  std::vector<DriverFunction> functions;
  for (const std::string& driver : drivers) {
    const auto own = functions_of(driver);
    functions.insert(functions.end(), own.begin(), own.end());
  }
  begin(functions);
}

void DriverTrace::begin(const std::vector<DriverFunction>& functions) {
  const bool same = std::ranges::equal(functions, functions_, {}, &DriverFunction::names, &DriverFunction::names);
  if (!same) {
    disarm();
    functions_ = functions;
    told_ = {};
    if (!functions_.empty()) arm();
  }
  const auto now = profile();
  for (Probe& probe : probes_)
    if (const auto found = now.find(probe.event); found != now.end()) probe.before = found->second;
}

void DriverTrace::arm() {
  if (!find_tracefs()) return;
  remove_leftovers();
  if (make_instance()) add_probes();
  if (!told_.why_none.empty()) disarm();
}

void DriverTrace::remove_leftovers() {
  std::error_code none;
  std::vector<std::string> dead;
  for (fs::directory_iterator at(tracefs_ + "/instances", none), end; !none && at != end; at.increment(none))
    if (const std::string name = at->path().filename(); name.starts_with(prefix) && owner_is_dead(name)) dead.push_back(name);
  // rmdir() fails with EBUSY if the owner is alive in another PID namespace.
  for (const std::string& name : dead) rmdir((tracefs_ + "/instances/" + name).c_str());
  // "p:faultline_123/faultline_123_0 nouveau:nouveau_svm_fault". The kernel refuses to remove an enabled one (EBUSY).
  std::ifstream file(tracefs_ + "/kprobe_events");
  std::vector<std::string> events;
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("p:" + prefix) && owner_is_dead(line.substr(2))) events.push_back(line.substr(2, line.find(' ') - 2));
  for (const std::string& event : events) tell(tracefs_ + "/kprobe_events", "-:" + event + "\n", O_APPEND);
}

bool DriverTrace::make_instance() {
  name_ = prefix + std::to_string(getpid());
  const std::string instance = tracefs_ + "/instances/" + name_;
  if (mkdir(instance.c_str(), 0700) != 0) {
    const int error = errno;
    name_.clear();
    return fail(instance, error);
  }
  held_ = kernel_.open((instance + "/tracing_on").c_str(), O_RDWR);
  if (held_ < 0 || kernel_.write(held_, "0\n", 2) != 2) return fail(instance + "/tracing_on", errno);
  return true;
}

void DriverTrace::add_probes() {
  std::ifstream file(kallsyms_);
  if (!file) {
    told_.why_none = kallsyms_ + ": " + strerror(errno) + "; the kernel needs CONFIG_KALLSYMS";
    return;
  }
  const auto symbols = find_symbols(file, functions_);
  for (std::size_t i = 0; i < functions_.size(); ++i) {
    const DriverFunction& function = functions_[i];
    if (symbols[i].empty())
      told_.not_counted.push_back(joined(function.names) + ": not in " + kallsyms_ +
                                  ": this kernel does not have it, or only inlined into its callers");
    for (const std::string& symbol : symbols[i]) {
      const std::string event = name_ + "_" + std::to_string(probes_.size());
      if (tell(tracefs_ + "/kprobe_events", "p:" + name_ + "/" + event + " " + symbol + "\n", O_APPEND)) {
        probes_.push_back({event, i, function_name(symbol), {}});
        continue;
      }
      if (errno == EPERM || errno == EACCES) {
        fail(tracefs_ + "/kprobe_events", errno);
        return;
      }
      told_.not_counted.push_back(symbol + ": " + strerror(errno));
    }
  }
  if (probes_.empty()) {
    told_.why_none = "the kernel has none of the driver's functions: is its module loaded, with SVM configured?";
    return;
  }
  const std::string enable = tracefs_ + "/instances/" + name_ + "/events/" + name_ + "/enable";
  if (!tell(enable, "1\n")) fail(enable, errno);
}

void DriverTrace::disarm() {
  if (!name_.empty()) {
    const std::string instance = tracefs_ + "/instances/" + name_;
    tell(instance + "/events/" + name_ + "/enable", "0\n");
    if (held_ >= 0) kernel_.close(held_);
    rmdir(instance.c_str());
    for (const Probe& probe : probes_) tell(tracefs_ + "/kprobe_events", "-:" + name_ + "/" + probe.event + "\n", O_APPEND);
  }
  held_ = -1;
  name_.clear();
  probes_.clear();
}

// probes_profile_seq_show(): event, hits, misses.
std::map<std::string, DriverTrace::Count> DriverTrace::profile() {
  std::map<std::string, Count> counts;
  if (probes_.empty()) return counts;
  std::string text;
  const int fd = kernel_.open((tracefs_ + "/kprobe_profile").c_str(), O_RDONLY);
  if (fd < 0) {
    fail(tracefs_ + "/kprobe_profile", errno);
    return counts;
  }
  char buffer[4096];
  for (ssize_t got; (got = kernel_.read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(got));
  kernel_.close(fd);
  std::istringstream lines(text);
  std::string event;
  for (Count count; lines >> event >> count.calls >> count.missed;) counts[event] = count;
  return counts;
}

DriverCalls DriverTrace::end() {
  const auto now = profile();
  DriverCalls calls = told_;
  if (!calls.why_none.empty()) return calls;
  for (const Probe& probe : probes_) {
    const auto found = now.find(probe.event);
    if (found == now.end()) {
      calls.not_counted.push_back(probe.name + ": its probe is gone: somebody cleared kprobe_events");
      continue;
    }
    // If GCC made several clones of a function, each clone has a probe. Add them up.
    if (calls.functions.empty() || calls.functions.back().name != probe.name)
      calls.functions.push_back({probe.name, functions_[probe.function].what, 0, 0});
    calls.functions.back().calls += found->second.calls - probe.before.calls;
    calls.functions.back().missed += found->second.missed - probe.before.missed;
  }
  return calls;
}

}  // namespace faultline
