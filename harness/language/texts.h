// What each observable of a scenario can be: the right-hand sides that its claims may compare it with.
#pragma once

#include <string>
#include <vector>

#include "harness/outcome.h"
#include "harness/program.h"

namespace faultline {

// Values are those that the scenario writes: a claim about any other holds (or fails) whatever happens, and
// is a slip.
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

// Whether a text is spelled like a snapshot, which is written in quotes.
bool is_events_text(const std::string& text);  // letters of PageHistory
// Whether a claim has the text in quotes: letters, that are no word.
bool is_quoted(const Observable& observable, const std::string& text);
bool is_snapshot_text(const std::string& text);

}  // namespace faultline
