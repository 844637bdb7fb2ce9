// The texts that each observable of a scenario can have. Claims may compare it with these only.
#pragma once

#include <string>
#include <vector>

#include "harness/outcome.h"
#include "harness/program.h"

namespace faultline {

// Values are possible only if the scenario writes them. A claim about another value would hold, or fail, whatever happens, so
// it must be a mistake.
class Texts {
 public:
  Texts(const Program& program, const Observable& observable);
  bool can_be(const std::string& text) const;
  const std::vector<std::string>& words() const { return words_; }
  const std::string& described() const { return described_; }

 private:
  void add_values(const Program& program, Cell cell);
  void add_errnos();
  void add_signals();

  std::vector<std::string> words_;
  bool errnos_ = false;
  bool events_ = false;
  int letters_ = 0;  // pages of a snapshot
  std::string described_;
};

bool is_events_text(const std::string& text);  // only letters of PageHistory
// Whether claims must write this text of the observable in quotes, because it consists of letters without being a word.
bool is_quoted(const Observable& observable, const std::string& text);
bool is_snapshot_text(const std::string& text);  // only letters of snapshots

}  // namespace faultline
