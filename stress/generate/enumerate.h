// All small programs: two or three actions of two threads on one or two pages, up to symmetry, those that conflict most first.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <vector>

#include "harness/capabilities.h"
#include "harness/program.h"
#include "stress/generate/action.h"
#include "stress/generate/draft.h"

namespace faultline {

class Enumeration {
 public:
  explicit Enumeration(const Capabilities& can);

  // The next one. Nothing when there is no other. Each is a valid scenario that a target with these capabilities can run, and
  // none is the same as an earlier one (canonical()). `patience`: how many may be tried before it gives up for now; done() tells
  // that from the end.
  std::optional<Program> next(std::size_t patience = 1000);
  bool done() const { return level_ == levels_.size(); }
  std::size_t given() const { return given_; }

 private:
  // Who acts: the first thread of P, and another thread of it, of its child, or a process that ends meanwhile.
  enum class Frame { cpu_and_gpu, two_cpus, two_gpus, ending, inherited };
  struct Pair {
    const Action* one;
    const Action* other;
    int weight;
  };
  // What a program has besides its pair. All pairs are tried with one level before the next level begins.
  struct Level {
    Setting setting;
    PageRange one, other;
    const Action* third = nullptr;  // behind `other`, at its place
    bool first = false;             // behind `one` instead
  };

  void add_pairs();
  void add_levels();
  std::optional<Program> make(const Pair& pair, const Level& level) const;

  Capabilities can_;
  std::vector<Pair> pairs_;
  std::vector<Level> levels_;
  std::size_t level_ = 0, pair_ = 0, given_ = 0;
  std::set<std::size_t> seen_;  // hashes of canonical texts
};

}  // namespace faultline
