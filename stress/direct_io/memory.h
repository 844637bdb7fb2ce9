// A page of two halves: one that transfers fill or send, and one that only the CPU writes ("note").
//
// O_DIRECT works in sectors, so a process may use the rest of a page while a transfer is in flight. In this way data is
// lost that nobody has overwritten.
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
// The contents of the halves: "file+cpu". "torn" is a half with mixed contents.
std::string halves(const void* page);

// An anonymous page, private or shared.
class Anonymous {
 public:
  explicit Anonymous(bool shared = false);
  ~Anonymous();
  Anonymous(const Anonymous&) = delete;
  Anonymous& operator=(const Anonymous&) = delete;
  void* get() const { return page_; }
  // Somebody else has unmapped it.
  void forget() { page_ = nullptr; }

 private:
  void* page_;
};

// Whether this process has a mapping there.
bool is_mapped(void* page);
// The frame of a mapped page. Touches the page. Throws if the kernel hides the frame.
unsigned long frame_of(void* page);
// Whether the page's dirty flag is set (/proc/kpageflags).
bool is_dirty(void* page);

// A file of one page on the file system without delay, mapped shared. At first it is clean and both halves are "old".
class MappedFile {
 public:
  MappedFile(const std::string& folder, const std::string& device);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  int fd() const { return fd_; }
  void* page() const { return page_; }
  void unmap();
  // halves() of the data on the block device, not in the page cache.
  std::string on_disk() const;

 private:
  std::string device_;
  int fd_;
  void* page_;
};

}  // namespace faultline::direct_io
