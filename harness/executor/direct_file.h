// The file for direct-read and direct-write. It is an unnamed file that is open with O_DIRECT, and each statement has a
// page of its own in it. All processes of one fork tree share it.
//
// It lies in /var/tmp or /tmp: the first one on an ext4 or xfs that reports direct I/O. On other file systems O_DIRECT may
// be refused (tmpfs before 6.6) or go through the page cache, which takes no reference on the user's page.
#pragma once

#include <cstdint>

#include "harness/executor/layout.h"
#include "harness/target.h"

namespace faultline {

class DirectFile {
 public:
  // For the root `process`, before its threads start: writes to the file what each direct-read of its fork tree will
  // find there. Gives null, or what failed, with errno set. Does nothing if no statement needs the file.
  const char* prepare(const Program& program, const Layout& layout, int process, std::uint64_t iteration);

  // read(2) into the page at `address`, or write(2) from it, for the statement with that result slot. Gives an errno.
  int read(std::uintptr_t address, int slot) const;
  int write(std::uintptr_t address, int slot) const;
  // The first word of the page that write() put into the file. It is read through the page cache, not with O_DIRECT: a
  // concurrent fork() could make a buffer of this process a COW page.
  int written(int slot, std::uint64_t* word) const;

 private:
  bool open();

  int direct_ = -1, cached_ = -1;
};

// The target's capabilities, corrected for file systems and settings of this machine, which the target does not know.
Capabilities capabilities_here(const Target& target);

}  // namespace faultline
