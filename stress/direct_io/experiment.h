// Experiments: something is done while a transfer is in flight, and a kernel may answer in known ways.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "stress/direct_io/memory.h"
#include "stress/direct_io/slow_device.h"
#include "stress/direct_io/transfer.h"

namespace faultline::direct_io {

// Two file systems: a slow one with the files of the transfers, and one without delay with the files that are mapped.
struct Bench {
  SlowDevice& slow;
  std::string slow_folder, fast_folder, fast_device;

  // The slow file of one page that transfers read or write.
  std::string source() const { return slow_folder + "/source"; }
  // Fills the file (Value::file), and delays requests from now on.
  void prepare(milliseconds delay) const;
};

struct Experiment {
  const char* name;
  const char* claim;  // in the mail threads: "3.4"
  const char* says;   // what the experiment does
  // The answer if O_DIRECT takes plain references on pages (FOLL_GET, as in 6.1), and the answer if it pins them
  // (FOLL_PIN). All answers of a kernel must be of the same kind.
  std::string with_references, with_pins;
  const char* control_of = nullptr;  // the other experiment must have a different answer
  // Returns nothing if the transfer may have ended before all the steps were done that must be done in flight.
  std::function<std::optional<std::string>(const Bench&)> run;
};

std::vector<Experiment> fork_experiments();       // fork_experiments.cpp: claims 3.4 and 3.6
std::vector<Experiment> file_page_experiments();  // file_page_experiments.cpp: claims 2.2 and 2.3

// Who waits for a transfer to end, and for how long: claim 2.1.
struct Wait {
  const char* what;    // "fork()"
  const char* memory;  // the destination of the transfer
  struct Time {
    milliseconds delay;  // of the transfer; zero: there was none
    double took_ms;
    std::string result;  // if there are several possible ones
  };
  std::vector<Time> times;
  bool ended_in_flight = false;  // at least once it was done while the transfer surely was in flight
};
std::vector<Wait> waits(const Bench& bench);

}  // namespace faultline::direct_io
