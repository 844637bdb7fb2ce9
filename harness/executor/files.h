// The files that a scenario declares, as descriptors that every process of one fork tree has.
//
// A File::Kind::disk lies in the first folder of /var/tmp and /tmp whose file system has files without a name
// (O_TMPFILE) and can punch holes; where neither has, it is a memfd too.
#pragma once

#include <array>
#include <string>

#include "harness/program.h"

namespace faultline {

class Files {
 public:
  // Makes the files that belong to the root `process`, or empties those it has made before; then gives each
  // its pages, all zero and in the page cache. Nothing may map them. Null, or what failed, with errno set.
  const char* prepare(const Program& program, int process);
  int descriptor(int file) const { return descriptors_[file]; }

 private:
  std::array<int, limits::files> descriptors_{-1, -1};
  static_assert(limits::files == 2);
};

// What a scenario's `file` is on, here: "ext4 (/var/tmp)", "memory".
std::string disk_text();

}  // namespace faultline
