// The file that direct-read and direct-write transfer pages from and to: open with O_DIRECT, without a name, and a
// page of its own for each statement. Every process of one fork tree has it.
//
// It lies in the first folder of /var/tmp and /tmp on an ext4 or xfs that says that it does direct I/O. Elsewhere
// O_DIRECT may be refused (tmpfs before 6.6) or go through the page cache, which takes no reference on the page.
#pragma once

#include <cstdint>

#include "harness/executor/layout.h"
#include "harness/target.h"

namespace faultline {

class DirectFile {
 public:
  // For the root `process`, before its threads start: what each direct-read of its tree will find
  // in the file. Null, or what
  // failed, with errno set. Does nothing where no statement needs the file.
  const char* prepare(const Program& program, const Layout& layout, int process, std::uint64_t iteration);

  // read(2) into the page at `address` and write(2) from it, for the statement with that result slot. An errno.
  int read(std::uintptr_t address, int slot) const;
  int write(std::uintptr_t address, int slot) const;
  // The first word of what write() put there, through the page cache: a buffer of this process could be shared by
  // a fork() meanwhile.
  int written(int slot, std::uint64_t* word) const;

 private:
  bool open();

  int direct_ = -1, cached_ = -1;
};

// What the target can do on this machine, whose file systems and settings the target does not know.
Capabilities capabilities_here(const Target& target);

}  // namespace faultline
