// The runner's side of one iteration: start it, wait for it, read its end state, clean up after it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "harness/executor/area.h"
#include "harness/executor/crash.h"
#include "harness/executor/disturber.h"
#include "harness/executor/driver_words.h"
#include "harness/executor/executor.h"
#include "harness/executor/layout.h"
#include "harness/executor/operation.h"
#include "harness/executor/outcome.h"

namespace faultline {

// Keeps the root processes alive from one iteration to the next, unless an operation ended one.
class Iterations {
 public:
  enum class End {
    outcome,     // every thread is done or dead
    crash,       // the device's driver crashed; crash() says where
    error,       // the bench failed; error() says how
    late,        // the deadline passed
    unprepared,  // the limit of the set-up passed
  };
  // `deadline_ms` is for the statements, from their start, and again for the observes.
  struct Limits {
    int set_up_ms = 0;
    int deadline_ms = 0;
  };

  // `breathe` is called regularly during waits.
  Iterations(const Program& program, Target& target, Frames* frames, std::vector<int> cpus, std::function<void()> breathe);
  ~Iterations();
  Iterations(const Iterations&) = delete;
  Iterations& operator=(const Iterations&) = delete;

  // Sets the CPU of each thread, from the next iteration on.
  void place(const std::vector<int>& cpus);
  // After End::outcome the area holds the outcome until the next call.
  // The disturbances of the row are added to the deadline.
  End run(const Row& row, const Limits& limits);
  // Several iterations, each with its row and its deadline; most_turns() at most, and none of them disturbed. The end and the area are
  // those of the last one that began: turns_kept() say how many came before it. Their results are kept (turns.h).
  End run(std::span<const Row> rows, const Limits& limits);
  std::uint32_t most_turns() const;
  std::uint32_t turns_kept() const { return turns_kept_; }
  // Waits `longer_ms` more for the same iteration, which was late.
  End go_on(int longer_ms);
  // Ends the processes that the iteration left, once its outcome has been read. False if something survives SIGKILL.
  bool finish();
  const std::vector<Sameness>& identities() const { return identities_; }
  std::string error() const;
  const Crash& crash() const { return crash_; }

  // Kills and reaps every process below the runner. False if something survives so far; then it may be called again.
  bool clear(int longest_ms);

  // What the processes that are not set up are doing: "P opens its devices; Q maps its regions".
  std::string unprepared() const;
  // How long the first set-up took, which starts the processes, and the statements of an iteration on average. 0 if none
  // has ended.
  std::int64_t first_set_up_ns() const { return first_set_up_ns_; }
  std::int64_t usual_ns() const { return ended_ > 0 ? statements_ns_ / ended_ : 0; }
  const std::vector<int>& devices() const { return devices_; }  // that are open when the threads start

  const Area& area() const { return *area_; }
  CommandTimes take_times() { return std::exchange(area_->times, {}); }  // between iterations
  const Layout& layout() const { return layout_; }

 private:
  void start_roots();
  void reset();
  void launch(std::span<const Row> rows);
  std::optional<End> wait_for_last_turn();
  std::int64_t since_ns() const;
  bool has_started() const { return area_->started.get() == round_; }
  End wait_for_end();
  End wait_for_quiet();
  std::optional<End> passed();
  bool quiet();
  bool settled(int process);
  void resolve_cut_fork(int process);
  void note_deaths();
  int unexpected_death();
  End ended(int process);
  bool alive(int process) const;
  std::optional<End> observe();
  std::optional<End> ask(Command command);
  std::optional<End> wait_for_answer(int process);
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
  Disturber disturber_{*area_, cpus_, layout_};
  std::vector<int> devices_;
  bool roots_alive_ = false;
  Limits limits_;
  std::int64_t launched_ns_ = 0;
  std::uint32_t round_ = 0;  // of the iteration that is looked at
  std::uint32_t turns_kept_ = 0;
  std::int64_t quiet_ns_ = 0;  // when all threads were done; 0: not yet
  std::int64_t longer_ns_ = 0;
  std::int64_t first_set_up_ns_ = 0;
  std::int64_t statements_ns_ = 0;  // sum over the iterations that ended in time
  std::int64_t ended_ = 0;          // number of iterations that ended in time
  std::vector<Sameness> identities_;
  std::string error_;
  Crash crash_;
  const std::uint64_t killed_before_;  // processes_killed_for_memory() at the start
};

}  // namespace faultline
