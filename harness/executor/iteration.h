// The runner's side of one iteration: start it, wait for it, read its end, clear up after it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
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
    outcome,     // every thread is done or dead
    crash,       // of the device's driver: crash() says where
    error,       // of the bench: error() says what
    late,        // the deadline passed
    unprepared,  // the limit of the set-up did
  };
  // Of the set-up, and of the statements from their start on; as long again for what is observed.
  struct Limits {
    int set_up_ms = 0;
    int deadline_ms = 0;
  };

  // `breathe` is called all the while that something is waited for.
  Iterations(const Program& program, Target& target, Frames* frames, std::vector<int> cpus, std::function<void()> breathe);
  ~Iterations();
  Iterations(const Iterations&) = delete;
  Iterations& operator=(const Iterations&) = delete;

  // From the next iteration on.
  void place(const std::vector<int>& cpus);
  // After End::outcome the area holds the outcome until the next call.
  End run(const std::vector<std::int64_t>& offsets, const Limits& limits);
  // The same iteration, which was late, for so much longer.
  End go_on(int longer_ms);
  // Ends what the iteration left, once its outcome is read. False: something survives being killed.
  bool finish();
  const std::vector<Sameness>& identities() const { return identities_; }
  std::string error() const;
  const Crash& crash() const { return crash_; }

  // Kills every process below the runner and reaps it. False: something survives so far, and it may be called again.
  bool clear(int longest_ms);

  // "P opens its devices; Q maps its regions", of those that are not set up.
  std::string unprepared() const;
  // What the set-up of fresh processes took at first, and the statements of an iteration on average; 0: none has ended.
  std::int64_t first_set_up_ns() const { return first_set_up_ns_; }
  std::int64_t usual_ns() const { return ended_ > 0 ? statements_ns_ / ended_ : 0; }
  const std::vector<int>& devices() const { return devices_; }  // that are open when the threads start

  const Area& area() const { return *area_; }
  CommandTimes take_times() { return std::exchange(area_->times, {}); }  // between iterations
  const Layout& layout() const { return layout_; }

 private:
  void start_roots();
  void reset();
  void launch(const std::vector<std::int64_t>& offsets);
  End wait_for_end();
  End wait_for_quiet();
  std::optional<End> passed() const;
  bool quiet();
  bool settled(int process);
  void resolve_cut_fork(int process);
  void note_deaths();
  int unexpected_death();
  End ended(int process);
  bool alive(int process) const;
  void forget_end();
  std::optional<End> observe();
  std::optional<End> ask(Command command);
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
  const std::function<void()> breathe_;
  std::vector<int> devices_;
  bool roots_alive_ = false;
  Limits limits_;
  std::int64_t launched_ns_ = 0;
  std::int64_t quiet_ns_ = 0;  // 0: threads run
  std::int64_t longer_ns_ = 0;
  std::int64_t first_set_up_ns_ = 0;
  std::int64_t statements_ns_ = 0;  // of those that have ended in time
  std::int64_t ended_ = 0;
  std::vector<Sameness> identities_;
  std::string error_;
  Crash crash_;
  const std::uint64_t killed_before_;  // for want of memory
};

}  // namespace faultline
