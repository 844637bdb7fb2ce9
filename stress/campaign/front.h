// What a campaign does on one target: which scenario gets the next slice of time.
//
// Three pools share the time: written scenarios, small ones by enumeration, and random ones. At first each written scenario gets
// one short slice, what differs most from the earlier ones first. After that, time goes to what may still show something new: many
// allowed outcomes, and few of them seen.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "harness/capabilities.h"
#include "harness/run/trial.h"
#include "stress/campaign/features.h"
#include "stress/generate/enumerate.h"

namespace faultline {

enum class Pool { written, small, random };
inline constexpr int pools = 3;
inline constexpr const char* pool_names[pools] = {"written", "small", "random"};

// One scenario of a campaign on one target.
struct Item {
  std::shared_ptr<const Scenario> scenario;
  Pool pool = Pool::written;
  std::uint64_t number = 0;  // in its pool, from 1
  std::uint64_t slices = 0;
  double seconds = 0;
  std::uint64_t iterations = 0;
  std::size_t allowed = 0, seen = 0;  // outcomes
  bool races = false;                 // more than one outcome is allowed
  bool closed = false;                // no more slices: it has a finding, or cannot be run
};

class Front {
 public:
  // What the reference says of a Program on this target. It may give up: then Allowed::complete is false.
  using Predict = std::function<Allowed(const Program&)>;

  // `seconds`: the whole time of the campaign on this target. `seed` tells which random programs are drawn. The files of generated
  // scenarios, of which only those with a finding are ever written, begin with `prefix`.
  Front(const Capabilities& can, Predict predict, const std::vector<std::shared_ptr<const Scenario>>& written, std::uint64_t seed,
        double seconds, const std::string& prefix);

  struct Slice {
    Item* item = nullptr;
    double seconds = 0;
  };
  // Nothing if this target can run nothing.
  std::optional<Slice> next();
  // What a slice showed.
  struct Told {
    double seconds = 0;  // of this slice
    std::uint64_t iterations = 0;
    std::size_t seen = 0;  // allowed outcomes, of all slices in this run
    bool closed = false;   // the scenario has a finding, or cannot be run
  };
  void told(Item& item, const Told& what);
  // Whether the item will get no other slice.
  bool is_done_with(const Item& item) const;
  // A generated one is then gone.
  void forget(const Item& item);

  // An item of an earlier part of the campaign, as it was after its last slice.
  void restore(const Item& item);

  std::size_t covered() const { return known_.size(); }  // features (features.h)
  std::size_t tried(Pool pool) const { return tried_[static_cast<std::size_t>(pool)]; }

 private:
  void order(const std::vector<std::shared_ptr<const Scenario>>& written);
  Item* made(Pool pool);
  std::optional<Program> drawn();
  Item* most_promising(Pool pool);
  double first_slice() const;
  double later_slice() const;
  void meet(Item& item, const Allowed& allowed);

  Capabilities can_;
  Predict predict_;
  std::uint64_t seed_;
  double seconds_;
  std::string prefix_;
  Enumeration enumeration_;
  std::uint64_t random_ = 0;  // drawn so far
  std::deque<std::unique_ptr<Item>> items_;
  std::size_t first_ = 0;  // the written scenarios before it have had a slice
  std::size_t written_ = 0;
  double spent_[pools] = {};
  std::size_t tried_[pools] = {};
  int turn_ = 0;
  Features known_;
};

}  // namespace faultline
