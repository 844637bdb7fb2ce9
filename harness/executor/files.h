// The files that a scenario declares, as descriptors that all processes of one fork tree share.
//
// A File::Kind::disk lies in /var/tmp or /tmp: the first one with a file system that supports O_TMPFILE and can punch holes.
// If neither has such a file system, the file is a memfd.
#pragma once

#include <array>
#include <string>

#include "harness/program.h"

namespace faultline {

class Files {
 public:
  // Makes the files of the root `process`, or empties those that it made before. Then gives each file its pages, all zero
  // and in the page cache. The files must not be mapped. Gives null, or what failed, with errno set.
  const char* prepare(const Program& program, int process);
  int descriptor(int file) const { return descriptors_[file]; }

 private:
  std::array<int, limits::files> descriptors_{-1, -1};
  static_assert(limits::files == 2);
};

// Where a scenario's `file` lies on this machine: "ext4 (/var/tmp)", "memory".
std::string disk_text();

}  // namespace faultline
