#include "drm_glue/kernel_taint.h"

#include <errno.h>
#include <string.h>

#include <string_view>

#include <gtest/gtest.h>

namespace faultline {
namespace {

class FakeTaint : public Kernel {
 public:
  int open(const char* path, int) override { return std::string_view(path) == "/proc/sys/kernel/tainted" ? 5 : -1; }
  int close(int) override { return 0; }
  int ioctl(int, unsigned long, void*) override { return -1; }
  ssize_t read(int, void* buffer, std::size_t) override {
    const std::string text = std::to_string(value) + "\n";
    memcpy(buffer, text.data(), text.size());
    return static_cast<ssize_t>(text.size());
  }
  ssize_t write(int, const void*, std::size_t) override { return -1; }
  ssize_t pread(int, void*, std::size_t, off_t) override { return -1; }
  off_t seek(int, off_t, int) override { return 0; }
  void* mmap(void*, std::size_t, int, int, int, off_t) override { return nullptr; }
  int munmap(void*, std::size_t) override { return 0; }

  unsigned long long value = 0;
};

constexpr unsigned long long proprietary = 1 << 0, bad_page = 1 << 5, oops = 1 << 7, warning = 1 << 9, out_of_tree = 1 << 12,
                             lockup = 1 << 14;

TEST(KernelTaint, WhatWasThereIsNoNews) {
  FakeTaint fake;
  fake.value = proprietary | warning;
  KernelTaint taint(fake);
  EXPECT_TRUE(taint.news().empty());
  fake.value |= oops | bad_page | lockup;
  EXPECT_EQ(taint.news(), (std::vector<std::string>{"B (a bad page)", "D (an oops)", "L (a soft lockup)"}));
  EXPECT_TRUE(taint.news().empty());
}

TEST(KernelTaint, AModuleThatIsLoadedIsNoNews) {
  FakeTaint fake;
  KernelTaint taint(fake);
  fake.value = proprietary | out_of_tree;
  EXPECT_TRUE(taint.news().empty());
}

TEST(KernelTaint, WithoutTheFileThereIsNone) {
  FakeTaint fake;
  FaultyKernel faulty(fake);
  faulty.fail(FaultyKernel::Call::open, ENOENT, 2);
  KernelTaint taint(faulty);
  EXPECT_TRUE(taint.news().empty());
}

TEST(TaintLine, NamesAll) {
  EXPECT_EQ(taint_line({"B (a bad page)", "W (a warning)"}),
            "the kernel became tainted, and no report of its log tells why: B (a bad page), W (a warning)");
}

}  // namespace
}  // namespace faultline
