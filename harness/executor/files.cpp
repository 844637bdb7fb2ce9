#include "harness/executor/files.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "harness/executor/layout.h"

namespace faultline {
namespace {

constexpr const char* folders[] = {"/var/tmp", "/tmp"};

// Opens an unnamed file that supports all operations of scenarios. -1 if the folder has no such files.
int open_in(const char* folder) {
  const int file = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (file < 0) return -1;
  if (ftruncate(file, page_bytes) == 0 && fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, page_bytes) == 0)
    return file;
  close(file);
  return -1;
}

int open_file(File::Kind kind) {
  if (kind == File::Kind::disk)
    for (const char* folder : folders)
      if (const int file = open_in(folder); file >= 0) return file;
  return memfd_create("faultline", MFD_CLOEXEC);
}

}  // namespace

const char* Files::prepare(const Program& program, int process) {
  for (std::size_t i = 0; i < program.files.size(); ++i) {
    const File& file = program.files[i];
    if (file.owner != process) continue;
    int& descriptor = descriptors_[i];
    if (descriptor < 0) descriptor = open_file(file.kind);
    if (descriptor < 0) return "cannot make a file";
    if (ftruncate(descriptor, 0) != 0) return "cannot empty a file";
    alignas(page_bytes) static const char zeroes[page_bytes] = {};
    for (int page = 0; page < file.pages; ++page)
      if (pwrite(descriptor, zeroes, page_bytes, page * static_cast<off_t>(page_bytes)) != page_bytes)
        return "cannot write a file";
  }
  return nullptr;
}

std::string disk_text() {
  for (const char* folder : folders) {
    const int file = open_in(folder);
    if (file < 0) continue;
    struct statfs about {};
    fstatfs(file, &about);
    close(file);
    switch (about.f_type) {
      case TMPFS_MAGIC: return "memory";
      case EXT4_SUPER_MAGIC: return std::string("ext4 (") + folder + ")";
      case XFS_SUPER_MAGIC: return std::string("xfs (") + folder + ")";
      case BTRFS_SUPER_MAGIC: return std::string("btrfs (") + folder + ")";
      case OVERLAYFS_SUPER_MAGIC: return std::string("overlayfs (") + folder + ")";
    }
    char number[32];
    snprintf(number, sizeof number, "0x%lx", static_cast<unsigned long>(about.f_type));
    return std::string("a file system of type ") + number + " (" + folder + ")";
  }
  return "memory";
}

}  // namespace faultline
