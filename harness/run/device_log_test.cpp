#include "harness/run/device_log.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

namespace faultline {
namespace {

namespace fs = std::filesystem;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Lines = std::vector<std::string>;

class DeviceLogTest : public testing::Test {
 protected:
  ~DeviceLogTest() override { fs::remove(path_), fs::remove(path_ + ".1"); }
  // The device began a second after the steady clock's own beginning.
  void write(const std::string& text, const std::string& suffix = "") {
    std::ofstream(path_ + suffix) << "12.000 clock 1000000.000 seed 5\n" << text;
  }
  Lines until(std::int64_t microseconds_of_device, std::size_t limit = 40) {
    return device_log(path_, steady_clock::time_point(microseconds(1'000'000 + microseconds_of_device)), limit);
  }
  const std::string path_ = fs::temp_directory_path() / ("device-log-" + std::to_string(::getpid()));
};

TEST_F(DeviceLogTest, EndsAtTheTime) {
  write("100.000 a\n200.000 b\n300.000 c\n");
  EXPECT_EQ(until(250), (Lines{"100.000 a", "200.000 b"}));
  EXPECT_EQ(until(1000, 2), (Lines{"200.000 b", "300.000 c"})) << "the last ones";
  EXPECT_EQ(until(50), Lines{});
}

TEST_F(DeviceLogTest, AFaultThatIsToldAgainIsOneLine) {
  std::string text = "1.000 fence\n";
  for (int i = 0; i < 100; ++i)
    text += std::to_string(i + 2) + ".000 fault 0x7000\n" + std::to_string(i + 2) + ".500 ih wptr " + std::to_string(i) + "\n";
  write(text + "500.000 fault 0x8000\n");
  EXPECT_EQ(until(1000), (Lines{"1.000 fence", "2.000 fault 0x7000  (and 99 more like it)",
                                "2.500 ih wptr 0  (and 99 more like it)", "500.000 fault 0x8000"}));
}

TEST_F(DeviceLogTest, OfAnOlderFileWhereTheLogWasBegunAnew) {
  write("900.000 new\n");
  write("100.000 old\n", ".1");
  EXPECT_EQ(until(950), Lines{"900.000 new"});
  EXPECT_EQ(until(500), Lines{"100.000 old"});
}

TEST_F(DeviceLogTest, WhatIsNoLogHasNoLines) {
  EXPECT_EQ(until(1000), Lines{});
  std::ofstream(path_) << "1.000 a\n2.000 b\n";
  EXPECT_EQ(until(1000), Lines{}) << "its times cannot be told";
  write("100.000 half a li");
  EXPECT_EQ(until(1000), Lines{}) << "a line that is still being written";
}

TEST_F(DeviceLogTest, OnlyTheEndOfALongOneIsRead) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "5.000 line " + std::to_string(i) + " which has some length\n";
  write(text);
  const Lines lines = until(1000, 3);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines.back(), "5.000 line 199999 which has some length");
}

TEST(AboutEnd, SharesTheTimeOfABatch) {
  const steady_clock::time_point came(milliseconds(1000));
  EXPECT_EQ(about_end(came, milliseconds(100), 9, 10), came);
  EXPECT_EQ(about_end(came, milliseconds(100), 0, 10), came - milliseconds(90));
  EXPECT_EQ(about_end(came, milliseconds(100), 3, 0), came);
}

}  // namespace
}  // namespace faultline
