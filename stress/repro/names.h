// How the C text calls the things of a Program, and how it says their places.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "harness/outcome.h"
#include "harness/program.h"

namespace faultline::repro {

// Addresses of the regions, in bytes above BASE. Each has room below it for a stack to grow.
std::vector<long> region_offsets(const Program& program);

class Names {
 public:
  explicit Names(const Program& program);

  std::string process(int process) const { return "proc_" + processes_[process]; }
  std::string run(int process) const { return "run_" + processes_[process]; }
  std::string run_thread(int thread) const { return "run_" + threads_[thread]; }
  std::string region(int region) const { return "mem_" + regions_[region]; }
  std::string file(int file) const { return "file_" + files_[file]; }
  std::string barrier(int barrier) const { return "bar_" + barriers_[barrier]; }
  std::string device(int opener, int device) const { return "dev_" + processes_[opener] + "_" + devices_[device]; }
  std::string page(Cell cell) const;
  std::string page(const PageRange& range) const { return page(Cell{range.region, range.first}); }
  // The member of `struct shared` for this observable. A snapshot has another one, with "_pages" behind, for its letters.
  const std::string& member(const Observable& observable) const { return members_.at(observable.key); }

 private:
  std::vector<std::string> processes_, threads_, regions_, files_, barriers_, devices_;
  std::map<std::string, std::string> members_;
};

}  // namespace faultline::repro
