// A conversation with the agent on a machine: its hello, then one slice of work after another.
//
// The protocol is in agent/protocol.h. Whatever the machine does (dies, goes silent, sends garbage), a slice ends with a
// value that says so.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/agent/protocol.h"
#include "harness/run/machine.h"

namespace faultline {

// How urgently the user wants the run to end. soon: after the current iteration. now: at once.
enum class Stop { none, soon, now };
using StopAsked = std::function<Stop()>;

// Whether `word` is the target's name or the first part of it. 'opencl' names every OpenCL device, 'opencl:pocl' those of a
// driver.
bool names_target(const std::string& word, const std::string& target);

// The target in a hello with this name. Otherwise the first target that the name names as a group ('opencl', 'opencl:pocl'),
// available ones first. Otherwise the target that says why there is no such device ('opencl' for 'opencl:pocl'). Otherwise
// null.
const agent::TargetInfo* find_target(const agent::HelloEvent& hello, const std::string& name);

// The machine did not come up. `words` are its last lines of output.
struct StartFailure : std::runtime_error {
  StartFailure(const std::string& message, std::vector<std::string> last) : std::runtime_error(message), words(std::move(last)) {}
  std::vector<std::string> words;
};

class Session {
 public:
  struct Patience {
    // A start has failed if there is no sign of life (a line on the stream, the console or stderr) for this long. While a
    // machine is being built for the first time, it prints something all the time.
    std::chrono::seconds start{120};
    // A slice has gone silent after four deadlines plus this. If something takes longer, the agent says that it is alive.
    std::chrono::milliseconds grace{30'000};
  };
  // Starts the machine and waits for its hello. Meanwhile `status` gets the last line that it printed. Throws StartFailure.
  Session(const Machine::Spec& spec, const Patience& patience, const StopAsked& stop,
          const std::function<void(const std::string&)>& status);
  ~Session();

  const agent::HelloEvent& hello() const { return hello_; }
  // The GPUs of the machine. Call it between slices. If the machine does not answer, the list is empty and gives the reason.
  GpuList gpus(const StopAsked& stop);
  Machine& machine() { return machine_; }

  struct Slice {
    std::string target;
    std::string text;
    std::string file;
    RunPlan plan;
    std::optional<std::chrono::steady_clock::time_point> until;  // the time to send stop
    bool crash = false;                                          // for tests: panic the kernel after the first batch
  };

  // Called as things arrive. Each may be empty.
  struct Handlers {
    std::function<void(const std::string& line)> raw;  // called before the event's own handler
    std::function<void(const Batch&)> batch;
    std::function<void(const std::vector<std::string>& lines)> health;
    std::function<void(const Hang&)> hang;
    std::function<void(const Crash&)> crash;
    std::function<void(const std::string& message)> error;
    std::function<void(std::optional<std::uint64_t> iteration, const std::string& words)> driver;
    std::function<void(const DriverCalls&)> calls;
    std::function<void()> tick;  // several times a second
  };

  struct Ended {
    enum class Kind {
      done,         // the agent finished, or stopped when asked to
      skipped,      // the agent says that the target cannot run it
      stuck,        // something survives SIGKILL: the machine needs a restart
      gone,         // the stream ended: the machine died
      silent,       // no message for too long
      garbage,      // a line that is not in the protocol
      interrupted,  // Stop::now, or the agent did not stop when asked to
    };
    Kind kind = Kind::done;
    std::string message;
  };
  Ended run(const Slice& slice, const Handlers& handlers, const StopAsked& stop);

  // Whether another slice can be run. False after stuck, gone, silent, garbage or interrupted.
  bool usable() const { return usable_; }

 private:
  std::optional<Ended> take(const agent::Event& event, const std::string& line, const Handlers& handlers);
  Ended finish(Ended::Kind kind, const std::string& message);
  agent::HelloEvent wait_for_hello(const Patience& patience, const StopAsked& stop,
                                   const std::function<void(const std::string&)>& status);

  Machine machine_;
  agent::HelloEvent hello_;
  Patience patience_;
  std::uint64_t id_ = 0;
  bool usable_ = true;
};

}  // namespace faultline
