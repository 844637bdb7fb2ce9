// The log: its beginning, by which its times can be told of other processes, and its bound.
#include "drm_glue/softgpu/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace faultline::softgpu {
namespace {

namespace fs = std::filesystem;

class StillTime : public Time {
 public:
  nanoseconds now() const override { return nanoseconds(5'000'000); }
};

class LogTest : public testing::Test {
 protected:
  LogTest() { fs::create_directory(folder_); }
  ~LogTest() override { fs::remove_all(folder_); }
  static std::string text(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const fs::path folder_ = fs::temp_directory_path() / ("softgpu-log-" + std::to_string(getpid()));
  const fs::path path_ = folder_ / "log";
  const StillTime time_;
};

TEST_F(LogTest, BeginsWithTheClock) {
  Log log(time_, path_, "seed 3");
  log("answer %d", 42);
  const std::string said = text(path_);
  ASSERT_TRUE(said.starts_with("5000.000 clock ")) << said;
  const double now = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
  EXPECT_NEAR(std::strtod(said.c_str() + 15, nullptr) + 5000, now, 10e6);
  EXPECT_TRUE(said.ends_with(" seed 3\n5000.000 answer 42\n")) << said;
}

TEST_F(LogTest, IsBounded) {
  Log log(time_, path_, "x", 1000);
  for (int i = 0; i < 1000; ++i) log("line %d", i);
  EXPECT_LE(fs::file_size(path_), 1100u);
  EXPECT_LE(fs::file_size(folder_ / "log.1"), 1100u);
  EXPECT_TRUE(text(path_).starts_with("5000.000 clock ")) << "the new file can be read by itself";
  EXPECT_TRUE(text(path_).ends_with("line 999\n"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2) << "two files, however much is written";
}

TEST_F(LogTest, WithoutAPathNothingIsWritten) {
  Log log(time_, "", "");
  log("nothing");
  EXPECT_TRUE(fs::is_empty(folder_));
  EXPECT_THROW(Log(time_, folder_ / "none" / "log", ""), std::system_error);
}

}  // namespace
}  // namespace faultline::softgpu
