// A reproducer: one C file that runs a Program over and over, looks for an outcome, and needs nothing but a C library.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/program.h"

namespace faultline::repro {

// What drives the devices of the Program.
enum class Machine {
  host,     // CPU threads
  pinned,   // io_uring and pipes
  dmirror,  // /dev/hmm_dmirror0 and 1, of lib/test_hmm.c
};

// The machine that the device class of the Program stands for. Nothing if C can drive no such device.
std::optional<Machine> machine_of(const Program& program);

// Why there is no reproducer, and what in the scenario text is to blame.
struct Refusal {
  Place place;
  std::string word;  // on the line of `place`; may be empty
  std::string why;
};

// Nothing if c_text() can say all that the Program does.
std::optional<Refusal> cannot_say(const Program& program, Machine machine);
// Nothing if the C program can tell whether the condition holds.
std::optional<Refusal> cannot_tell(const Program& program, const Condition& condition, Machine machine);

// What the comment at the top tells besides the Program itself. Each may be empty.
struct Story {
  std::string seen_on;              // "Linux 6.1.192, lab:dmirror"
  std::vector<std::string> looked;  // what is looked for, one line each, as the scenario language writes it
  std::string reason;               // why a healthy kernel does not show it, or that it may
};

// The C text. Exit codes of the program: 1 if an iteration showed an outcome in which `shows` holds, 0 if none did, 2 if the
// machine lacks something, 3 if an iteration did not end. Call it only if the two functions above refuse nothing.
std::string c_text(const Program& program, const Condition& shows, Machine machine, const Story& story);

}  // namespace faultline::repro
