// The raw journal of a run: JSON lines, appended as things happen. Every report can be made from it.
//
// Each record is one write(2) to a file opened with O_APPEND. So even after a kill -9 all lines but perhaps the last are
// complete. If a record does not fit (disk full), the part that was written is removed again.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "harness/times.h"

namespace faultline {

class Journal {
 public:
  Journal() = default;  // keeps nothing
  // Creates the file and the folders above it. Throws std::system_error with the path in its message.
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
