// The raw journal of a run: JSON lines, appended as things happen; every report can be made from it.
//
// Each record is one write(2) to a file opened with O_APPEND, so that after a kill -9 at any moment every
// line is whole. A record that did not fit (disk full) is taken back, so that this holds then too.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "harness/times.h"

namespace faultline {

class Journal {
 public:
  Journal() = default;  // keeps nothing
  // Creates the file and the folders above it; throws std::system_error with the path in it.
  explicit Journal(const std::string& path);
  ~Journal();
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  const std::string& path() const { return path_; }

  // Appends {"ev": event, "t": seconds since 1970, ...record}. False when it could not be written;
  // nothing more is written from then on.
  bool write(const std::string& event, const nlohmann::json& record);

  // Number of the last line written, 1-based in the file; 0 when nothing is kept.
  std::uint64_t line() const { return line_; }

  // Asks the kernel to have it on the disk: before something that may take this machine down.
  void sync();

  // Empty, or why writing stopped.
  const std::string& failure() const { return failure_; }

 private:
  std::string path_;
  std::string failure_;
  std::uint64_t line_ = 0;
  int fd_ = -1;
};

// Of a device's commands.
nlohmann::json summary(const CommandTimes& times);

// "2024-03-01T12-30-05Z-4711": the name of a run's folder.
std::string run_folder_name();

}  // namespace faultline
