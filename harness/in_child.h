// Questions to drivers and their libraries, which may crash or hang: asked by a child, in the process's stead.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>

namespace faultline {

struct ChildAnswer {
  int error = 0;      // errno: there was no child to ask
  bool late = false;  // it had not ended in time
  int status = 0;     // else, of waitpid()
  std::string text;   // whole where the child ended with 0

  bool whole() const { return error == 0 && !late && status == 0; }
};

// What `ask` gives, in a child that has its memory but none of its other threads. What it prints goes to stderr: stdout may
// be an agent's.
ChildAnswer in_child(const std::function<std::string()>& ask, std::chrono::milliseconds patience);

// The same for plain bytes; none where there is no whole answer within seconds.
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
