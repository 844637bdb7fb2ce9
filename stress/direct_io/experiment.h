// What is asked of a kernel while a transfer is in flight, and what it may answer.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "stress/direct_io/memory.h"
#include "stress/direct_io/slow_device.h"
#include "stress/direct_io/transfer.h"

namespace faultline::direct_io {

// Two file systems: a slow one, from and to whose files the transfers go, and one without delay for the
// files that are mapped.
struct Bench {
  SlowDevice& slow;
  std::string slow_folder, fast_folder, fast_device;

  // The slow file that transfers read or write: a page.
  std::string source() const { return slow_folder + "/source"; }
  // Fills it (Value::file), and delays requests from now on.
  void prepare(milliseconds delay) const;
};

struct Experiment {
  const char* name;
  const char* claim;  // of the mail threads: "3.4"
  const char* says;   // what is done
  // The answers of a kernel whose O_DIRECT takes plain references on pages (FOLL_GET; 6.1 does), and of one
  // that pins them (FOLL_PIN). One and the same kernel gives all its answers from one of them.
  std::string with_references, with_pins;
  const char* control_of = nullptr;  // the experiment whose answer must be another one
  // Nothing: the transfer may have ended before all was done that belongs into its flight.
  std::function<std::optional<std::string>(const Bench&)> run;
};

std::vector<Experiment> fork_experiments();       // fork_experiments.cpp: claims 3.4 and 3.6
std::vector<Experiment> file_page_experiments();  // file_page_experiments.cpp: claims 2.2 and 2.3

// Who waits for a transfer to end, and for how long: claim 2.1.
struct Wait {
  const char* what;    // "fork()"
  const char* memory;  // the transfer writes to
  struct Time {
    milliseconds delay;  // of the transfer; zero: there was none
    double took_ms;
    std::string result;  // what it came to, where it could be this or that
  };
  std::vector<Time> times;
  bool ended_in_flight = false;  // once at least it was done while the transfer surely was in flight
};
std::vector<Wait> waits(const Bench& bench);

}  // namespace faultline::direct_io
