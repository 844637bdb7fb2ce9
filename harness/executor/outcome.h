// Decodes result slots into outcomes. Makes keys that compare the outcomes of iterations cheaply.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/executor/area.h"
#include "harness/executor/layout.h"
#include "harness/outcome.h"

namespace faultline {

// How two mappings compared at the end.
enum class Sameness : unsigned char { unknown, same, different };

// Reads the area at the end of an iteration, when no process writes to it any more.
class OutcomeReader {
 public:
  OutcomeReader(const Program& program, const Layout& layout, const Area& area, const Sight& sight);

  // Reads what was kept of a turn (turns.h), or the area.
  void read(std::optional<std::uint32_t> turn) { turn_ = turn; }

  // The keys of two iterations are equal if and only if their outcomes are. `identities` is indexed by observe.
  std::string key(const std::vector<Sameness>& identities) const;
  Outcome texts(const std::vector<Sameness>& identities) const;

 private:
  // What is known of one statement.
  enum class Known : unsigned char { result, unknown, not_reached };
  Known known(int thread, int statement) const;
  bool alive(int process) const;
  std::uint64_t iteration() const;
  const SeenResult& result_of(const Observable& observable) const;
  const SeenResult* reading_of(const Observable& observable) const;
  void append(std::string& key, const SeenResult& result) const;
  std::string text(const SeenResult& result, Cell cell) const;

  const Program& program_;
  const Layout& layout_;
  const Area& area_;
  std::vector<Observable> schema_;
  std::optional<std::uint32_t> turn_;
};

}  // namespace faultline
