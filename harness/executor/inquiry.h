// Investigates an iteration that did not end in time:
//   1. Watch it until it ends after all, or until there is evidence that it never will (evidence.h).
//   2. Run a control iteration, which shows whether the machine is fit for a verdict (control.h).
//   3. Kill the iteration and repeat it with four times its deadline. Only if it hangs again is the hang certain.
//
// All steps are bounded: each watch by two minutes or six deadlines, whichever is longer; killing by one minute; a control
// iteration by eight times what it usually takes.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "harness/executor/control.h"
#include "harness/executor/evidence.h"
#include "harness/executor/executor.h"
#include "harness/executor/iteration.h"

namespace faultline {

class Inquiry {
 public:
  // `breathe` is called regularly. `late` is called when there is evidence, before anything is killed.
  Inquiry(const Program& program, Target& target, Iterations& iterations, const Iterations::Limits& limits,
          std::int64_t usual_plain_ns, std::function<void()> breathe, std::function<void()> late);

  struct Found {
    std::optional<Hang> hang;
    std::optional<Iterations::End> end;  // how it ended after all, or how its repetition did
    bool over = false;                   // the run must end
  };
  // Call it after Iterations::run() returned `end`, which must be late or unprepared.
  Found look_into(Iterations::End end, std::uint64_t iteration, const Row& row);

  // Ends the processes that the iteration left, once its outcome has been read. Nothing, or a report on those that do not die.
  std::optional<Hang> finish(std::uint64_t iteration);

  // Kills all processes. If some survive: whether they will never die (stuck) or may still die (slow), and why.
  enum class Cleared { yes, stuck, slow };
  Cleared clear(std::string& why);

 private:
  struct Watched {
    std::optional<Iterations::End> end;  // after all
    Evidence evidence;
    Needs needs;
    Sample last;
  };
  Watched watch();
  Found not_set_up(std::uint64_t iteration);
  void repeat(const Row& row, Found& found);
  Sample sample() const;

  const Program& program_;
  Target& target_;
  Iterations& iterations_;
  const Iterations::Limits limits_;
  const std::int64_t usual_plain_ns_;
  const std::function<void()> breathe_;
  const std::function<void()> late_;
};

}  // namespace faultline
