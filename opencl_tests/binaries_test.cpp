#include "opencl_tests/binaries.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace faultline::opencl {
namespace {

const std::vector<unsigned char> one{1, 2, 3}, other{4};

TEST(Binaries, GoFromOneProcessToTheNext) {
  Binaries binaries;
  EXPECT_TRUE(binaries.find(Source::cell).empty());
  const pid_t child = fork();
  if (child == 0) {
    binaries.keep(Source::cell, one);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  EXPECT_EQ(binaries.find(Source::cell), one);
  EXPECT_TRUE(binaries.find(Source::ordered).empty());
}

TEST(Binaries, TheFirstIsKept) {
  Binaries binaries;
  binaries.keep(Source::ordered, {});
  binaries.keep(Source::ordered, std::vector<unsigned char>(Binaries::most_bytes + 1));
  EXPECT_TRUE(binaries.find(Source::ordered).empty());
  binaries.keep(Source::ordered, one);
  binaries.keep(Source::ordered, other);
  EXPECT_EQ(binaries.find(Source::ordered), one);
}

}  // namespace
}  // namespace faultline::opencl
