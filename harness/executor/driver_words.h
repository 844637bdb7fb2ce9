// What a device's driver says in a process under test, kept in the area for the runner: it outlives the process.
#pragma once

#include <optional>
#include <string>

#include "harness/executor/area.h"
#include "harness/target.h"

namespace faultline {

// The first words of each kind in an iteration are kept, and all times of a batch. Any thread may speak.
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

// What was said, in full.
std::optional<std::string> words_of(const Utterance& said);

}  // namespace faultline
