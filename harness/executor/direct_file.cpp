#include "harness/executor/direct_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstring>

#include "harness/executor/huge_pages.h"
#include "harness/executor/page_failure.h"
#include "harness/executor/userfault.h"
#include "harness/executor/value.h"

namespace faultline {
namespace {

constexpr const char* folders[] = {"/var/tmp", "/tmp"};
constexpr long xfs_magic = 0x58465342;  // XFS_SUPER_MAGIC, in newer headers

off_t place_of(int slot) { return slot * static_cast<off_t>(page_bytes); }

int transfer_result(ssize_t bytes) { return bytes == page_bytes ? 0 : bytes < 0 ? errno : EIO; }

// Whether transfers bypass the page cache. For a file that goes through the page cache, file systems report an alignment of 0.
bool is_direct(int file) {
  struct statfs about {};
  if (fstatfs(file, &about) != 0 || (about.f_type != EXT4_SUPER_MAGIC && about.f_type != xfs_magic)) return false;
  struct statx how {};
  if (statx(file, "", AT_EMPTY_PATH, STATX_DIOALIGN, &how) != 0 || !(how.stx_mask & STATX_DIOALIGN)) return false;
  const auto suits = [](std::uint32_t align) { return align != 0 && page_bytes % align == 0; };
  return suits(how.stx_dio_mem_align) && suits(how.stx_dio_offset_align);
}

int open_direct() {
  for (const char* folder : folders) {
    const int file = ::open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_DIRECT, 0600);
    if (file < 0) continue;
    if (is_direct(file)) return file;
    close(file);
  }
  return -1;
}

}  // namespace

bool DirectFile::open() {
  direct_ = open_direct();
  if (direct_ < 0) return false;
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", direct_);
  cached_ = ::open(path, O_RDONLY | O_CLOEXEC);
  return cached_ >= 0 && ftruncate(direct_, place_of(limits::operations)) == 0;
}

const char* DirectFile::prepare(const Program& program, const Layout& layout, int process, std::uint64_t iteration) {
  alignas(page_bytes) static char page[page_bytes];
  for (std::size_t t = 0; t < program.threads.size(); ++t) {
    const Thread& thread = program.threads[t];
    if (layout.root_of[thread.process] != process) continue;
    for (std::size_t i = 0; i < thread.statements.size(); ++i) {
      const auto* read = std::get_if<op::DirectRead>(&thread.statements[i].operation);
      if (!read && !std::holds_alternative<op::DirectWrite>(thread.statements[i].operation)) continue;
      if (direct_ < 0 && !open()) return "cannot make a file for direct I/O";
      constexpr std::uint64_t nobodys = 1;  // decodes as alien, in case a direct-write does not arrive
      const std::uint64_t word = read ? encode_word(iteration, layout.spans.of(read->cell), read->value) : nobodys;
      std::memcpy(page, &word, sizeof word);
      const int slot = layout.first_slot[t] + static_cast<int>(i);
      if (pwrite(direct_, page, page_bytes, place_of(slot)) != page_bytes) return "cannot write directly";
    }
  }
  return nullptr;
}

int DirectFile::read(std::uintptr_t address, int slot) const {
  return transfer_result(pread(direct_, reinterpret_cast<void*>(address), page_bytes, place_of(slot)));
}

int DirectFile::write(std::uintptr_t address, int slot) const {
  return transfer_result(pwrite(direct_, reinterpret_cast<const void*>(address), page_bytes, place_of(slot)));
}

int DirectFile::written(int slot, std::uint64_t* word) const {
  const ssize_t bytes = pread(cached_, word, sizeof *word, place_of(slot));
  return bytes == static_cast<ssize_t>(sizeof *word) ? 0 : bytes < 0 ? errno : EIO;
}

Capabilities capabilities_here(const Target& target) {
  Capabilities can = target.capabilities();
  // Asked once: each slice wants to know, and to make a file takes a slow machine milliseconds.
  static const bool direct = [] {
    const int file = open_direct();
    if (file >= 0) close(file);
    return file >= 0;
  }();
  can.direct = direct;
  can.uffd = has_userfaultfd();
  static const bool page_failures = has_page_failures();  // asked once, too: it reads four files
  can.page_failures = page_failures;
  const HugePageSettings huge = huge_page_settings();
  can.huge_pages = huge.anonymous;
  can.shared_huge_pages = huge.shared;
  return can;
}

}  // namespace faultline
