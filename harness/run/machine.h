// A machine under test: a child process that speaks the agent's protocol on its stdin and stdout.
//
// The local agent and a virtual machine look the same from here. They differ in the command, and in the file that has their
// last words. The child has a process group of its own: Ctrl-C on the terminal reaches only the bench, which then ends the
// machine in good order. Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace faultline {

// Bytes in a file; 0 if there is none.
std::uint64_t size_of(const std::string& file);

class Machine {
 public:
  struct Spec {
    std::string name;                  // "local", "lab"
    std::vector<std::string> command;  // "{console}" stands for the name of the console file
    std::string console;               // the file to which the command writes the kernel's console; empty: none
    std::string errors;                // the file for its stderr, which is created or truncated; empty: none
    std::string device_log;            // the file to which a GPU in software writes what it does; empty: none
    bool dies_with_us = true;          // killed when the thread that started it ends
  };

  // Starts the child. Throws std::system_error if that fails.
  explicit Machine(const Spec& spec);
  // Ends the child: end of file on its stdin, then SIGTERM, then SIGKILL to the whole group.
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // False if the other side is gone.
  bool send(const std::string& line);

  struct Received {
    enum class Kind { line, nothing, gone } kind = Kind::nothing;
    std::string line;
  };
  // line: the next line. nothing: none came in time. gone: the stream has ended, or sent more than 64 MiB without a newline.
  Received receive(std::chrono::milliseconds wait);

  // Kills the whole group at once.
  void kill();

  // How the child ended ("exit status 3", "killed by SIGKILL"); empty while it runs.
  std::string ending();

  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }
  // Whether it has a kernel of its own, whose console is kept.
  bool has_kernel() const { return console_ != errors_; }
  // The file with its last words: the console, or stderr if it has no console.
  const std::string& console() const { return console_; }
  const std::string& errors() const { return errors_; }
  const std::string& device_log() const { return device_log_; }
  // Bytes in the console file; use it as a mark for console_since().
  std::uint64_t console_size() const { return size_of(console_); }
  // The last `limit` lines of the console after a mark.
  std::vector<std::string> console_since(std::uint64_t mark, std::size_t limit = 40) const;

 private:
  bool reap(std::chrono::milliseconds wait);

  std::string name_;
  std::string console_;
  std::string errors_;
  std::string device_log_;
  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
  std::string buffer_;
  std::size_t scanned_ = 0;  // the first bytes of buffer_, which hold no newline
  std::optional<int> status_;
};

// The last `limit` lines of a file after byte `mark`, without control characters. None if the file is unreadable.
std::vector<std::string> last_lines(const std::string& file, std::uint64_t mark, std::size_t limit);

}  // namespace faultline
