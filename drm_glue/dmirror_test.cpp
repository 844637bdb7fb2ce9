// The test device's requests, byte by byte, against a fake kernel that plays lib/test_hmm.c.
#include "drm_glue/dmirror.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace faultline {
namespace {

using Page = std::vector<unsigned char>;

// Like the driver: makes the same checks, copies whole pages, counts a fault for each new page.
class FakeDriver : public Kernel {
 public:
  int open(const char* path, int flags) override {
    paths.emplace_back(path);
    if (open_error != 0) return fail(open_error);
    EXPECT_EQ(flags, O_RDWR);
    return 40 + static_cast<int>(paths.size());
  }
  int close(int fd) override {
    closed.push_back(fd);
    return 0;
  }
  int ioctl(int fd, unsigned long request, void* argument) override {
    EXPECT_GT(fd, 40);
    requests.push_back(request);
    auto& command = *static_cast<dmirror::Command*>(argument);
    EXPECT_EQ(command.cpages, 0u);
    EXPECT_EQ(command.faults, 0u);
    if (interruptions > 0) {
      --interruptions;
      command.cpages = 77;  // an interrupted request may leave anything here
      return fail(EINTR);
    }
    if (error != 0) return fail(error);
    if (command.addr % 4096 != 0 || command.npages == 0) return fail(EINVAL);
    unsigned char* buffer = reinterpret_cast<unsigned char*>(command.ptr);
    EXPECT_NE(buffer, nullptr);
    if (request == dmirror::snapshot_pages) {
      for (std::uint64_t i = 0; i < command.npages; ++i) buffer[i] = static_cast<unsigned char>(i + 1);
      return 0;
    }
    EXPECT_EQ(command.ptr % 4096, 0u) << "whole pages go through the buffer";
    for (std::uint64_t i = 0; i < command.npages; ++i) {
      Page& page = pages[command.addr + i * 4096];
      if (page.empty()) {
        page.assign(4096, 0);
        command.faults++;
      }
      if (request == dmirror::write_pages) memcpy(page.data(), buffer + i * 4096, 4096);
      else memcpy(buffer + i * 4096, page.data(), 4096);
    }
    command.cpages = short_copy ? 0 : command.npages;
    last = command;
    return 0;
  }
  ssize_t read(int, void*, std::size_t) override { return fail(EBADF); }
  ssize_t write(int, const void*, std::size_t) override { return errno = EBADF, -1; }
  ssize_t pread(int, void*, std::size_t, off_t) override { return fail(EBADF); }
  off_t seek(int, off_t, int) override { return fail(EBADF); }
  void* mmap(void*, std::size_t, int, int, int, off_t) override { return nullptr; }
  int munmap(void*, std::size_t) override { return 0; }

  int open_error = 0;
  int error = 0;
  int interruptions = 0;
  bool short_copy = false;
  std::vector<std::string> paths;
  std::vector<int> closed;
  std::vector<unsigned long> requests;
  std::map<std::uint64_t, Page> pages;
  dmirror::Command last{};

 private:
  static int fail(int code) {
    errno = code;
    return -1;
  }
};

constexpr std::uintptr_t address = 0x10'0000'1000;

TEST(Dmirror, RequestNumbersAreThoseOfTheHeader) {
  EXPECT_EQ(dmirror::read_pages, _IOWR('H', 0x00, dmirror::Command));
  EXPECT_EQ(dmirror::write_pages, _IOWR('H', 0x01, dmirror::Command));
  EXPECT_EQ(dmirror::migrate_to_device, _IOWR('H', 0x02, dmirror::Command));
  EXPECT_EQ(dmirror::migrate_to_system, _IOWR('H', 0x03, dmirror::Command));
  EXPECT_EQ(dmirror::snapshot_pages, _IOWR('H', 0x04, dmirror::Command));
  EXPECT_EQ(dmirror::exclusive_pages, _IOWR('H', 0x05, dmirror::Command));
  EXPECT_EQ(dmirror::check_exclusive, _IOWR('H', 0x06, dmirror::Command));
}

TEST(Dmirror, LoadsAndStoresWholePages) {
  FakeDriver driver;
  DmirrorTarget target(driver);
  const auto handle = target.open(0);
  ASSERT_TRUE(handle);
  EXPECT_EQ(driver.paths, std::vector<std::string>{"/dev/hmm_dmirror0"});
  constexpr std::uint64_t value = 0x8123456789abcdef;
  DeviceAccess access = handle->store(address, value);
  EXPECT_EQ(access.error, 0);
  EXPECT_TRUE(access.faulted);
  EXPECT_EQ(driver.last.npages, 1u);
  EXPECT_EQ(driver.last.addr, address);
  const Page& page = driver.pages.at(address);
  for (std::size_t i = 0; i < 512; ++i) {
    std::uint64_t word;
    memcpy(&word, page.data() + i * 8, 8);
    ASSERT_EQ(word, value + i);
  }
  access = handle->load(address);
  EXPECT_EQ(access.error, 0);
  EXPECT_FALSE(access.faulted);
  EXPECT_EQ(access.value, value);
  access = handle->load(address + 4096);
  EXPECT_TRUE(access.faulted);
  EXPECT_EQ(access.value, 0u);
}

TEST(Dmirror, MigratesAndSnapshots) {
  FakeDriver driver;
  DmirrorTarget target(driver);
  const auto handle = target.open(0);
  EXPECT_EQ(handle->migrate(address, 3, true), 0);
  EXPECT_EQ(driver.requests.back(), dmirror::migrate_to_device);
  EXPECT_EQ(driver.last.npages, 3u);
  EXPECT_EQ(handle->migrate(address, limits::pages_per_request, false), 0);
  EXPECT_EQ(driver.requests.back(), dmirror::migrate_to_system);
  unsigned char bytes[5] = {};
  EXPECT_EQ(handle->snapshot(address, std::span(bytes).first(4)), 0);
  EXPECT_EQ(bytes[3], 4);
  EXPECT_EQ(bytes[4], 0);
}

// The pins are real ones of this machine. The driver does not hear of them.
TEST(Dmirror, Pins) {
  if (const std::string why = PinnedTarget().unavailable(); !why.empty()) GTEST_SKIP() << why;
  FakeDriver driver;
  DmirrorTarget target(driver);
  const auto handle = target.open(0);
  ASSERT_TRUE(handle);
  alignas(4096) static unsigned char memory[2 * 4096];
  const auto page = reinterpret_cast<std::uintptr_t>(memory);
  EXPECT_EQ(handle->unpin(page, 1), ENXIO);
  EXPECT_EQ(handle->pin(page, 1, false), 0);
  EXPECT_EQ(handle->pin(page + 4096, 1, true), 0);
  EXPECT_EQ(handle->pin(page, 2, true), EBUSY);
  EXPECT_EQ(handle->unpin(page, 2), 0);
  EXPECT_TRUE(driver.requests.empty());
  // A descriptor that is kept for the next iteration pins nothing.
  EXPECT_EQ(handle->pin(page, 1, false), 0);
  EXPECT_TRUE(handle->keep());
  EXPECT_EQ(handle->unpin(page, 1), ENXIO);
  EXPECT_TRUE(driver.closed.empty());
}

// If the kernel cannot pin, neither can the target.
TEST(Dmirror, CanPinWhatTheKernelPins) {
  FakeDriver driver;  // maps no page
  driver.open_error = ENOENT;
  EXPECT_FALSE(DmirrorTarget(driver).capabilities().pin);
  EXPECT_EQ(DmirrorTarget().capabilities().pin, PinnedTarget().unavailable().empty());
}

TEST(Dmirror, ErrorsAreThoseOfTheDriver) {
  FakeDriver driver;
  DmirrorTarget target(driver);
  const auto handle = target.open(0);
  for (int error : {EFAULT, EBUSY, EPERM, ENOENT, EINVAL}) {
    driver.error = error;
    EXPECT_EQ(handle->load(address).error, error);
    EXPECT_EQ(handle->store(address, 1).error, error);
    EXPECT_EQ(handle->migrate(address, 1, true), error);
    unsigned char byte = 0;
    EXPECT_EQ(handle->snapshot(address, std::span(&byte, 1)), error);
  }
  driver.error = 0;
  EXPECT_EQ(handle->load(address + 8).error, EINVAL);
}

TEST(Dmirror, InterruptedRequestsAreMadeAgain) {
  FakeDriver driver;
  DmirrorTarget target(driver);
  const auto handle = target.open(0);
  driver.interruptions = 3;
  const DeviceAccess access = handle->load(address);
  EXPECT_EQ(access.error, 0);
  EXPECT_TRUE(access.faulted);
  EXPECT_EQ(driver.requests.size(), 4u);
}

TEST(Dmirror, ASuccessThatCopiedNothingIsAnError) {
  FakeDriver driver;
  DmirrorTarget target(driver);
  const auto handle = target.open(0);
  driver.short_copy = true;
  EXPECT_EQ(handle->load(address).error, EIO);
  EXPECT_EQ(handle->store(address, 1).error, EIO);
}

TEST(Dmirror, DescriptorIsClosedOnce) {
  FakeDriver driver;
  DmirrorTarget target(driver);
  { const auto handle = target.open(0); }
  EXPECT_EQ(driver.closed, std::vector<int>{41});
}

TEST(Dmirror, SaysWhyItIsUnavailable) {
  FakeDriver driver;
  const DmirrorTarget target(driver);
  EXPECT_EQ(target.unavailable(), "");
  driver.open_error = ENOENT;
  EXPECT_NE(target.unavailable().find("CONFIG_TEST_HMM"), std::string::npos);
  driver.open_error = EACCES;
  EXPECT_EQ(target.unavailable(), "/dev/hmm_dmirror0: no permission; root may open it");
  driver.open_error = EMFILE;
  EXPECT_EQ(target.unavailable(), "/dev/hmm_dmirror0: Too many open files");
}

TEST(Dmirror, OpenFailsWithErrno) {
  FakeDriver driver;
  DmirrorTarget target(driver);
  FaultyKernel faulty(driver);
  DmirrorTarget broken(faulty);
  faulty.fail(FaultyKernel::Call::open, EMFILE);
  EXPECT_EQ(broken.open(0), nullptr);
  EXPECT_EQ(errno, EMFILE);
  EXPECT_NE(broken.open(0), nullptr);
  EXPECT_EQ(target.open(9), nullptr);
  EXPECT_EQ(errno, ENODEV);
}

}  // namespace
}  // namespace faultline
