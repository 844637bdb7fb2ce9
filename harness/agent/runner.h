// The process that runs one request, seen from the agent.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "harness/agent/protocol.h"
#include "harness/program.h"
#include "harness/shared.h"
#include "harness/target.h"

namespace faultline::agent {

// Where a runner's events go.
class Outlet {
 public:
  virtual ~Outlet() = default;
  virtual void send(const Event& event) = 0;
  virtual bool stop_requested() = 0;
};

// What a runner does. Gives the number of iterations for "done".
using Job = std::function<std::uint64_t(Outlet& outlet)>;

// The agent forks it. It and everything below it form a process group, so that a broken run can be killed completely. It sends
// its events as lines through a pipe.
class Runner {
 public:
  // Starts it. Throws std::system_error.
  Runner(std::uint64_t id, const Job& job);
  ~Runner();  // kills the group
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  std::uint64_t id() const { return id_; }
  int events_fd() const { return events_; }  // readable when there is something to read
  int life_fd() const { return life_; }      // readable when the runner is dead
  void ask_to_stop();

  // The next line that has arrived, if any.
  std::optional<std::string> next_line();
  // How the runner ended; nothing while it lives. The pipe may still hold lines for next_line().
  std::optional<std::string> ended();

 private:
  void drain();

  std::uint64_t id_;
  pid_t pid_ = -1;
  int events_ = -1;
  int life_ = -1;
  const Shared<std::atomic<bool>> stop_;
  LineReader lines_;
};

// Runs a Program. `learnt` is in shared memory: it outlives the runner.
Job run_job(std::uint64_t id, const Program& program, Target& target, Frames* frames, const RunPlan& plan, Experience& learnt);

}  // namespace faultline::agent
