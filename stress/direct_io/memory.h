// A page of two halves: one that transfers write or send, and one that only the CPU writes ("note").
//
// O_DIRECT works in sectors, so a process may well use the rest of a page that a transfer is on its way to:
// that is how data get lost that nobody overwrote.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace faultline::direct_io {

inline constexpr std::size_t page_bytes = 4096, half_bytes = page_bytes / 2;

enum class Value : unsigned char { zero = 0, old = 'o', cpu = 'c', file = 'f' };
enum class Half { data, note };

void fill(void* page, Half half, Value value);
void fill(void* page, Value data, Value note);
// "file+cpu": what the halves hold; "torn" for a half that holds more than one thing.
std::string halves(const void* page);

// A private anonymous page, or one that processes share.
class Anonymous {
 public:
  explicit Anonymous(bool shared = false);
  ~Anonymous();
  Anonymous(const Anonymous&) = delete;
  Anonymous& operator=(const Anonymous&) = delete;
  void* get() const { return page_; }
  // Unmapped by somebody else.
  void forget() { page_ = nullptr; }

 private:
  void* page_;
};

// Whether this process has anything mapped there.
bool is_mapped(void* page);
// The frame behind a mapped page, which is touched for that; throws where the kernel does not tell.
unsigned long frame_of(void* page);
// Its page is dirty, by its flag (/proc/kpageflags) or by the PTE's that was there.
bool is_dirty(void* page);

// A file of one page on a file system without delay, mapped shared, and clean: both halves are old.
class MappedFile {
 public:
  MappedFile(const std::string& folder, const std::string& device);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  int fd() const { return fd_; }
  void* page() const { return page_; }
  void unmap();
  // halves() of what the device holds for it, whatever the page cache has.
  std::string on_disk() const;

 private:
  std::string device_;
  int fd_;
  void* page_;
};

}  // namespace faultline::direct_io
