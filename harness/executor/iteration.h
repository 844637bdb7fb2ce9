// The runner's side of one iteration: start it, wait for it, read its end, clear up after it.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <string>
#include <vector>

#include "harness/executor/area.h"
#include "harness/executor/crash.h"
#include "harness/executor/driver_words.h"
#include "harness/executor/executor.h"
#include "harness/executor/layout.h"
#include "harness/executor/operation.h"
#include "harness/executor/outcome.h"

namespace faultline {

// Keeps the root processes alive from one iteration to the next where no operation ends one.
class Iterations {
 public:
  enum class End {
    outcome,  // every thread is done or dead
    crash,    // of the device's driver: crash() says where
    error,    // of the bench: error() says what
    late,     // the deadline passed
  };

  Iterations(const Program& program, Target& target, Frames* frames, std::vector<int> cpus);
  ~Iterations();
  Iterations(const Iterations&) = delete;
  Iterations& operator=(const Iterations&) = delete;

  // From the next iteration on.
  void place(const std::vector<int>& cpus);
  // After End::outcome the area holds the outcome until the next call.
  End run(const std::vector<std::int64_t>& offsets, int deadline_ms);
  // Ends what the iteration left, once its outcome is read. False: something survives being killed.
  bool finish();
  const std::vector<Sameness>& identities() const { return identities_; }
  std::string error() const;
  const Crash& crash() const { return crash_; }

  // Kills every process below the runner and reaps it. False: something survives.
  bool clear(int longest_ms);

  const Area& area() const { return *area_; }
  CommandTimes take_times() { return std::exchange(area_->times, {}); }  // between iterations
  const Layout& layout() const { return layout_; }

 private:
  void start_roots();
  void reset();
  void launch(const std::vector<std::int64_t>& offsets);
  End wait_for_quiet(std::int64_t deadline_ns);
  bool quiet();
  bool settled(int process);
  void resolve_cut_fork(int process);
  void note_deaths();
  int unexpected_death();
  End ended(int process);
  bool alive(int process) const;
  void forget_end();
  std::optional<End> observe(std::int64_t deadline_ns);
  std::optional<End> ask(Command command, std::int64_t deadline_ns);
  Sameness compare(const Observe& observe) const;
  void end_children();
  bool root(int process) const { return program_.processes[process].parent < 0; }
  bool told() const { return area_->fatal_signal.state.load(std::memory_order_acquire) == 2; }
  Suspect suspect(int process) const { return static_cast<Suspect>(area_->processes[process].suspect.load()); }
  Life life(int process) const { return static_cast<Life>(area_->processes[process].life.load()); }

  const Program& program_;
  const Layout layout_;
  SharedArea area_;
  AreaWords driver_words_{*area_};
  Frames* frames_;
  const std::vector<int> cpus_;
  ProcessContext prototype_;
  bool roots_alive_ = false;
  std::vector<Sameness> identities_;
  std::string error_;
  Crash crash_;
  const std::uint64_t killed_before_;  // for want of memory
};

}  // namespace faultline
