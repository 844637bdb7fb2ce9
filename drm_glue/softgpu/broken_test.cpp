// Broken hardware: what each kind does, and that its log tells.
#include "drm_glue/softgpu/broken.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "drm_glue/softgpu/test_driver.h"

namespace faultline::softgpu {
namespace {

// The file that the GPU logs to.
class LogFile {
 public:
  LogFile() = default;
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  ~LogFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }
  int blames() const {  // lines
    std::ifstream file(path_);
    int count = 0;
    for (std::string line; std::getline(file, line);) count += line.find("hardware is to blame") != line.npos;
    return count;
  }

 private:
  const std::string path_ = std::filesystem::temp_directory_path() / ("softgpu-broken-" + std::to_string(getpid()));
};

class BrokenTest : public testing::Test {
 protected:
  struct Driver : TestDriver {
    Driver(Broken broken, const std::string& log) : TestDriver(Gpu::Options{.log = log, .broken = broken}) {}
    void store(std::uint64_t address, std::uint32_t value) { submit_ib(gfx, write_words(address, {value})); }
    bool fenced() {
      submit(gfx, fence_and_trap(++fences));
      return comes(fence, fences);
    }
    Queue gfx = start(0, SdmaQueue::gfx);
    std::uint32_t fences = 0;
  };
  // Maps a page, stores, maps another there and invalidates, and stores twice; four times. How many of the stores came where
  // the page was then.
  static int right_stores(Driver& driver) {
    int right = 0;
    for (std::uint32_t i = 0; i < 4; ++i) {
      for (std::uint32_t turn = 0; turn < 3; ++turn) {
        const std::uint64_t page = driver.data + (2 * i + (turn > 0)) * gpu_page;
        if (turn < 2) driver.map(driver.va, (driver.bus_base + page) | driver.from_system);
        if (turn < 2) driver.invalidate(1);
        driver.store(driver.va + 4 * turn, 7);
        if (!driver.fenced()) return -1;
        right += driver.ram.load32(page + 4 * turn) == 7;
      }
    }
    return right;
  }
  LogFile log_;
};

TEST_F(BrokenTest, HealthyHardwareIsNeverToBlame) {
  Driver driver(Broken::no, log_.path());
  EXPECT_EQ(right_stores(driver), 12);
  driver.store(driver.va + 0x5000, 1);
  driver.vectors(1);
  driver.map(driver.va + 0x5000, (driver.bus_base + driver.data) | driver.from_system);
  EXPECT_TRUE(driver.fenced());
  EXPECT_EQ(log_.blames(), 0);
}

// The driver forgets the invalidation: that is not for the hardware to tell.
TEST_F(BrokenTest, ADriverThatForgetsAnInvalidationIsNotTheHardware) {
  Driver driver(Broken::no, log_.path());
  driver.map(driver.va, (driver.bus_base + driver.data) | driver.from_system);
  driver.store(driver.va, 1);
  ASSERT_TRUE(driver.fenced());
  driver.map(driver.va, (driver.bus_base + driver.data + gpu_page) | driver.from_system);
  driver.store(driver.va, 2);
  ASSERT_TRUE(driver.fenced());
  EXPECT_EQ(driver.ram.load32(driver.data), 2u);
  EXPECT_EQ(log_.blames(), 0);
}

TEST_F(BrokenTest, AnInvalidationIsAcknowledgedAndNotDone) {
  Driver driver(Broken::skip_invalidate, log_.path());
  const int right = right_stores(driver);
  EXPECT_GT(right, 0);
  EXPECT_LT(right, 12);
  EXPECT_GT(log_.blames(), 0);
}

TEST_F(BrokenTest, AFreedPageIsWrittenOnce) {
  Driver driver(Broken::writes_freed_page, log_.path());
  const int right = right_stores(driver);
  EXPECT_GE(right, 8) << "at most one after each invalidation is wrong";
  EXPECT_LT(right, 12);
  EXPECT_EQ(log_.blames(), 12 - right);
}

TEST_F(BrokenTest, AnAccessEndsWithoutItsFault) {
  Driver driver(Broken::drop_fault, log_.path());
  int lost = 0;
  for (std::uint64_t i = 0; i < 8; ++i) {
    const std::uint64_t page = (i + 1) * gpu_page;
    driver.store(driver.va + page, 7);
    driver.submit(driver.gfx, driver.fence_and_trap(++driver.fences));
    const auto told = driver.vectors(1);  // the fault, or the end
    ASSERT_EQ(told.size(), 1u);
    if (told[0].client == ih_client::vmc) {
      driver.map(driver.va + page, (driver.bus_base + driver.data + page) | driver.from_system);
      ASSERT_TRUE(driver.comes(driver.data + page, 7));
      ASSERT_EQ(driver.vectors(1).size(), 1u);
    } else {
      ++lost;
    }
    ASSERT_TRUE(driver.comes(driver.fence, driver.fences));
  }
  EXPECT_EQ(lost, 2);
  EXPECT_EQ(log_.blames(), 2);
}

}  // namespace
}  // namespace faultline::softgpu
