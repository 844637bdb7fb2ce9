// A machine under test: a child process whose stdin and stdout are an agent's stream.
//
// The local agent and a virtual machine look the same from here; what differs is the command, and where
// the last words are. The child has a process group of its own, so that Ctrl-C on the terminal reaches
// only the bench, which then ends the machine in good order. Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace faultline {

class Machine {
 public:
  struct Spec {
    std::string name;                  // "local", "lab"
    std::vector<std::string> command;  // "{console}" stands for the console file
    std::string console;               // the file that the command writes the kernel's words to; empty: it has none
    std::string errors;                // where its stderr goes, made new; empty: nowhere
    bool dies_with_us = true;          // killed when the thread that started it ends
  };

  // Starts the child; throws std::system_error when that cannot be done.
  explicit Machine(const Spec& spec);
  // Ends it: end of file on its stdin, then SIGTERM, then SIGKILL to the whole group.
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // False when the other side is gone.
  bool send(const std::string& line);

  struct Received {
    enum class Kind { line, nothing, gone } kind = Kind::nothing;
    std::string line;
  };
  // The next line, or nothing within the time, or gone: the stream has ended. A stream that goes on
  // without a newline for more than 64 MiB counts as gone.
  Received receive(std::chrono::milliseconds wait);

  // Kills the whole group at once.
  void kill();

  // How the child ended ("exit status 3", "killed by SIGKILL"); empty while it runs.
  std::string ending();

  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }
  // The file with its last words: the console, or stderr where there is none.
  const std::string& console() const { return console_; }
  const std::string& errors() const { return errors_; }
  // Bytes in the console file: a mark for console_since().
  std::uint64_t console_size() const;
  // Its last `limit` lines from a mark on.
  std::vector<std::string> console_since(std::uint64_t mark, std::size_t limit = 40) const;

 private:
  bool reap(std::chrono::milliseconds wait);

  std::string name_;
  std::string console_;
  std::string errors_;
  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
  std::string buffer_;
  std::size_t scanned_ = 0;  // of buffer_, known to hold no newline
  std::optional<int> status_;
};

// The last `limit` lines of a file from byte `mark` on, without control characters; none if unreadable.
std::vector<std::string> last_lines(const std::string& file, std::uint64_t mark, std::size_t limit);

}  // namespace faultline
