#include "stress/direct_io/memory.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <stdexcept>

#include "drm_glue/pagemap.h"
#include "stress/direct_io/door.h"

namespace faultline::direct_io {
namespace {

const char* value_text(unsigned char value) {
  switch (static_cast<Value>(value)) {
    case Value::zero: return "zero";
    case Value::old: return "old";
    case Value::cpu: return "cpu";
    case Value::file: return "file";
  }
  return "unknown";
}

std::string half_text(const void* page, Half half) {
  const auto* bytes = static_cast<const unsigned char*>(page) + (half == Half::note ? half_bytes : 0);
  const bool one = std::all_of(bytes, bytes + half_bytes, [bytes](unsigned char b) { return b == bytes[0]; });
  return one ? value_text(bytes[0]) : "torn";
}

}  // namespace

void fill(void* page, Half half, Value value) {
  std::memset(static_cast<char*>(page) + (half == Half::note ? half_bytes : 0), static_cast<int>(value), half_bytes);
}

void fill(void* page, Value data, Value note) {
  fill(page, Half::data, data);
  fill(page, Half::note, note);
}

std::string halves(const void* page) { return half_text(page, Half::data) + "+" + half_text(page, Half::note); }

Anonymous::Anonymous(bool shared)
    : page_(must(::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0),
                 "mmap")) {}

Anonymous::~Anonymous() {
  if (page_) ::munmap(page_, page_bytes);
}

bool is_mapped(void* page) {
  unsigned char resident;
  return ::mincore(page, page_bytes, &resident) == 0;
}

unsigned long frame_of(void* page) {
  static_cast<void>(*static_cast<volatile char*>(page));
  const auto frame = PagemapFrames(real_kernel()).frame(::getpid(), reinterpret_cast<std::uintptr_t>(page));
  if (!frame) throw std::runtime_error("/proc/self/pagemap does not tell the page's frame");
  return *frame;
}

bool is_dirty(void* page) {
  constexpr int kpf_dirty = 4;  // include/uapi/linux/kernel-page-flags.h
  std::uint64_t flags = 0;
  const File file("/proc/kpageflags", O_RDONLY);
  must(::pread(file, &flags, sizeof flags, static_cast<off_t>(frame_of(page) * sizeof flags)), "/proc/kpageflags");
  return flags >> kpf_dirty & 1;
}

MappedFile::MappedFile(const std::string& folder, const std::string& device) : device_(device) {
  const std::string path = folder + "/mapped";
  ::unlink(path.c_str());
  fd_ = must(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open " + path);
  char contents[page_bytes];
  fill(contents, Value::old, Value::old);
  must(::pwrite(fd_, contents, sizeof contents, 0), "write " + path);
  must(::fsync(fd_), "fsync " + path);
  page_ = must(::mmap(nullptr, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0), "mmap " + path);
}

MappedFile::~MappedFile() {
  unmap();
  ::close(fd_);
}

void MappedFile::unmap() {
  if (page_) ::munmap(page_, page_bytes);
  page_ = nullptr;
}

std::string MappedFile::on_disk() const {
  alignas(fiemap) char room[sizeof(fiemap) + sizeof(fiemap_extent)] = {};
  auto* map = new (room) fiemap{};
  map->fm_length = page_bytes;
  map->fm_extent_count = 1;
  must(::ioctl(fd_, FS_IOC_FIEMAP, map), "FS_IOC_FIEMAP");
  alignas(page_bytes) char contents[page_bytes] = {};
  if (map->fm_mapped_extents) {
    const auto place = static_cast<off_t>(map->fm_extents[0].fe_physical);
    must(::pread(File(device_, O_RDONLY | O_DIRECT), contents, sizeof contents, place), "read " + device_);
  }
  return halves(contents);
}

}  // namespace faultline::direct_io
