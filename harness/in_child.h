// Asks drivers and their libraries questions from a child process, because they may crash or hang.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>

namespace faultline {

// For a process that `parent` has just forked: it dies when the thread that forked it does, even if that is already gone.
void die_with(pid_t parent);

struct ChildAnswer {
  int error = 0;      // errno: the child could not be made
  bool late = false;  // the child did not end in time
  int status = 0;     // otherwise: its status from waitpid()
  std::string text;   // complete only when the child exited with 0

  bool whole() const { return error == 0 && !late && status == 0; }
};

// Runs `ask` in a forked child and returns its text. The child has a copy of the caller's memory, but none of its other
// threads. Output of `ask` to stdout goes to stderr, because an agent uses stdout for its protocol.
ChildAnswer in_child(const std::function<std::string()>& ask, std::chrono::milliseconds patience);

// The same for a trivially copyable answer. Empty when there is no complete answer within 10 s.
template <class Answer>
std::optional<Answer> in_child(const std::function<Answer()>& ask) {
  static_assert(std::is_trivially_copyable_v<Answer>);
  const auto bytes = [&] {
    const Answer answer = ask();
    return std::string(reinterpret_cast<const char*>(&answer), sizeof answer);
  };
  const ChildAnswer child = in_child(bytes, std::chrono::seconds(10));
  if (!child.whole() || child.text.size() != sizeof(Answer)) return std::nullopt;
  Answer answer;
  child.text.copy(reinterpret_cast<char*>(&answer), sizeof answer);
  return answer;
}

}  // namespace faultline
