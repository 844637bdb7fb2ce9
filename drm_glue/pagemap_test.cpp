// Where a page is, according to /proc. All tests but the last one use a made-up /proc.
#include "drm_glue/pagemap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <gtest/gtest.h>

#include <algorithm>

namespace faultline {
namespace {

// The same pagemap entry for every page, and an iomem that is read in pieces of a few bytes.
class FakeProc : public Kernel {
 public:
  int open(const char* path, int) override {
    if (std::string(path) == "/proc/self/pagemap") return 3;
    EXPECT_STREQ(path, "/proc/iomem");
    at_ = 0;
    return 4;
  }
  int close(int) override { return 0; }
  ssize_t pread(int fd, void* buffer, std::size_t bytes, off_t) override {
    EXPECT_EQ(fd, 3);
    memcpy(buffer, &entry, bytes);
    return static_cast<ssize_t>(bytes);
  }
  ssize_t read(int fd, void* buffer, std::size_t bytes) override {
    EXPECT_EQ(fd, 4);
    const std::size_t some = std::min({bytes, std::size_t{7}, iomem.size() - at_});
    memcpy(buffer, iomem.data() + at_, some);
    at_ += some;
    return static_cast<ssize_t>(some);
  }
  int ioctl(int, unsigned long, void*) override { return -1; }
  ssize_t write(int, const void*, std::size_t) override { return -1; }
  off_t seek(int, off_t, int) override { return -1; }
  void* mmap(void*, std::size_t, int, int, int, off_t) override { return nullptr; }
  int munmap(void*, std::size_t) override { return 0; }

  std::uint64_t entry = 0;
  std::string iomem =
      "00001000-0009fbff : System RAM\n100000000-13fffffff : System RAM\n"
      "  102000000-1027fffff : Kernel code\n3fff0000000-3ffffffffff : hmm_dmirror\n";

 private:
  std::size_t at_ = 0;
};

Location where(std::uint64_t entry, std::string_view name = "hmm_dmirror") {
  FakeProc kernel;
  kernel.entry = entry;
  Location location = Location::none;
  EXPECT_EQ(page_location(kernel, 0x1000, name, location), 0);
  return location;
}

std::uint64_t not_present(int type, std::uint64_t frame) { return pagemap::swapped | type | frame << pagemap::swap_type_bits; }

TEST(PageLocation, IsToldByTheFrameAndNotByTheType) {
  EXPECT_EQ(where(0), Location::none);
  EXPECT_EQ(where(pagemap::present | 0x100234), Location::system);
  EXPECT_EQ(where(pagemap::present), Location::system);  // with its frame hidden
  for (const int type : {25, 26, 28, 30}) {
    EXPECT_EQ(where(not_present(type, 0x3fff0000)), Location::device) << type;
    EXPECT_EQ(where(not_present(type, 0x3fffffff)), Location::device) << type;
    EXPECT_EQ(where(not_present(type, 0x3ffeffff)), Location::system) << type;
    EXPECT_EQ(where(not_present(type, 0x100234)), Location::system) << type;  // device-exclusive, or migrating
  }
  EXPECT_EQ(where(not_present(26, 0x3fff0000), "hmm"), Location::system);
  EXPECT_EQ(where(1ull << 55 | 1ull << 61), Location::none);  // soft-dirty says nothing
}

TEST(PageLocation, FailsWhereTheKernelHidesIt) {
  FakeProc kernel;
  kernel.entry = pagemap::swapped;
  Location location = Location::none;
  EXPECT_EQ(page_location(kernel, 0x1000, "hmm_dmirror", location), EPERM);
  FaultyKernel faulty(kernel);
  faulty.fail(FaultyKernel::Call::pread, EACCES);
  EXPECT_EQ(page_location(faulty, 0x1000, "hmm_dmirror", location), EIO);
  kernel.entry = not_present(26, 0x3fff0000);
  faulty.fail(FaultyKernel::Call::read, EIO);
  EXPECT_EQ(page_location(faulty, 0x1000, "hmm_dmirror", location), EIO);
}

TEST(PageLocation, OfRealPages) {
  char* const pages = static_cast<char*>(::mmap(nullptr, 2 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(pages, MAP_FAILED);
  pages[0] = 1;
  Location location = Location::device;
  ASSERT_EQ(page_location(real_kernel(), reinterpret_cast<std::uintptr_t>(pages), "hmm_dmirror", location), 0);
  EXPECT_EQ(location, Location::system);
  ASSERT_EQ(page_location(real_kernel(), reinterpret_cast<std::uintptr_t>(pages) + 4096, "hmm_dmirror", location), 0);
  EXPECT_EQ(location, Location::none);
  ::munmap(pages, 2 * 4096);
}

}  // namespace
}  // namespace faultline
