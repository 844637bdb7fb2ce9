// What is made of an iteration that does not end in time: it is watched on, until it ends after all or there is
// evidence that it never will; a control iteration tells whether the machine is fit for a verdict; it is killed, and
// repeated with four times its deadline. Only what then hangs again is a hang for certain.
//
// All of it is bounded: each watch by two minutes or six deadlines, the killing by one minute, a control iteration by
// eight times what it usually takes.
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
  // `breathe` is called all the while; `late` when there is evidence, before anything is killed.
  Inquiry(const Program& program, Target& target, Iterations& iterations, const Iterations::Limits& limits,
          std::int64_t usual_plain_ns, std::function<void()> breathe, std::function<void()> late);

  struct Found {
    std::optional<Hang> hang;
    std::optional<Iterations::End> end;  // how it ended after all, or how its repetition did
    bool over = false;                   // nothing more should be run
  };
  // After Iterations::run() gave `end`, which is late or unprepared.
  Found look_into(Iterations::End end, std::uint64_t iteration, const std::vector<std::int64_t>& offsets);

  // Ends what the iteration left, once its outcome is read. Nothing, or what does not die.
  std::optional<Hang> finish(std::uint64_t iteration);

  // Kills what there is. Where something survives: whether it never will die, and why that is believed.
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
  void repeat(const std::vector<std::int64_t>& offsets, Found& found);
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
