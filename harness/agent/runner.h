// The process that runs one request, as the agent sees it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "harness/agent/protocol.h"
#include "harness/program.h"
#include "harness/target.h"

namespace faultline::agent {

// Forked from the agent, in a process group of its own with everything below it, so that a broken run can
// be killed whole. It sends its events as lines through a pipe.
class Runner {
 public:
  // Starts it. Throws std::system_error.
  Runner(std::uint64_t id, const Program& program, Target& target, Frames* frames, const RunPlan& plan);
  ~Runner();  // kills the group
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  std::uint64_t id() const { return id_; }
  int events_fd() const { return events_; }  // readable when there is something to read
  int life_fd() const { return life_; }      // readable when the runner is dead
  void ask_to_stop();

  // A line that has arrived.
  std::optional<std::string> next_line();
  // How it ended; nothing while it lives. Call next_line() until it gives nothing first.
  std::optional<std::string> ended();

 private:
  void drain();

  std::uint64_t id_;
  pid_t pid_ = -1;
  int events_ = -1;
  int life_ = -1;
  std::atomic<bool>* stop_;  // shared with the runner
  LineReader lines_;
};

}  // namespace faultline::agent
