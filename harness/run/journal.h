// The raw journal of a run: JSON lines, appended as things happen. Every report can be made from it.
//
// Each record is one write(2) to a file opened with O_APPEND. So even after a kill -9 all lines but perhaps the last are
// complete. If a record does not fit (disk full), the part that was written is removed again.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "harness/times.h"

namespace faultline {

// Of the records. A program that goes on with a journal, or reads it, looks at the record "run".
inline constexpr int journal_version = 1;

// A file that a run must not write to: it is something else, or another run writes it. The message begins with the path.
struct NotAJournal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Journal {
 public:
  Journal() = default;  // keeps nothing
  // Creates the file and the folders above it, or appends to a journal that is there. Holds a lock on it: two runs in one
  // file could not be told apart. Throws std::system_error with the path in its message, or NotAJournal.
  explicit Journal(const std::string& path);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  const std::string& path() const { return path_; }

  // Appends {"ev": event, "t": seconds since 1970, ...record}. False if it could not be written. After that the journal
  // writes nothing more.
  bool write(const std::string& event, const nlohmann::json& record);

  // Number of the last line written, 1-based in the file. 0 if this journal keeps nothing.
  std::uint64_t line() const { return line_; }

  // Flushes the file to disk. Called before something that may crash this machine.
  void sync();

  // Why writing stopped. Empty if it did not.
  const std::string& failure() const { return failure_; }

 private:
  void take_over(bool empty);
  [[noreturn]] void refuse(const std::string& why);

  std::string path_;
  std::string failure_;
  std::uint64_t line_ = 0;
  int fd_ = -1;
};

// A summary of the times of device commands.
nlohmann::json summary(const CommandTimes& times);

// "2024-03-01T12-30-05Z-4711": the name of a run's folder.
std::string run_folder_name();

}  // namespace faultline
