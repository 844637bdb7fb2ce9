// Keeps what a device's driver says in a process under test. The text is in the shared area, where the runner finds it even
// if the process dies.
#pragma once

#include <optional>
#include <string>

#include "harness/executor/area.h"
#include "harness/target.h"

namespace faultline {

// Keeps the first message of each kind in an iteration, and all command times of a batch. Any thread may call it.
class AreaWords : public DriverWords {
 public:
  explicit AreaWords(Area& area) : area_(area) {}
  void failed(std::string_view words) override;
  void waits(std::string_view words) override;
  void ran(std::uint64_t queued, std::uint64_t submitted, std::uint64_t started, std::uint64_t ended) override {
    area_.times.note(queued, submitted, started, ended);
  }

 private:
  Area& area_;
};

// The message, if it is complete.
std::optional<std::string> words_of(const Utterance& said);

}  // namespace faultline
