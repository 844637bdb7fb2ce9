#include "harness/executor/huge_pages.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>

#include <filesystem>
#include <fstream>

namespace faultline {
namespace {

namespace fs = std::filesystem;

class HugePages : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "hugepages-64kB");
    fs::create_directories(folder_ / "khugepaged");
    set("enabled", "always [madvise] never");
    set("shmem_enabled", "always within_size advise [never] deny force");
    set("hugepages-64kB/enabled", "always inherit madvise [never]");
    set("hugepages-64kB/shmem_enabled", "always inherit within_size advise [never]");
  }
  void TearDown() override { fs::remove_all(folder_); }
  void set(const char* name, const char* text) { std::ofstream(folder_ / name) << text << "\n"; }
  HugePageSettings settings() const { return huge_page_settings(folder_.string()); }

  const fs::path folder_ = fs::temp_directory_path() / ("faultline-huge-" + std::to_string(::getpid()));
};

// Whether the kernel can restrict huge pages to advised ones (PR_THP_DISABLE_EXCEPT_ADVISED, 6.18).
bool can_be_told() {
  const bool told = prctl(PR_SET_THP_DISABLE, 1, 1UL << 1, 0, 0) == 0;
  prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
  return told;
}

TEST_F(HugePages, AdvisedOnesAreNobodysProblem) {
  EXPECT_FALSE(settings().anonymous);
  EXPECT_FALSE(settings().shared);
}

TEST_F(HugePages, AlwaysIsOneWhereTheKernelCannotBeTold) {
  set("enabled", "[always] madvise never");
  EXPECT_EQ(settings().anonymous, !can_be_told());
}

TEST_F(HugePages, OneSizeIsEnough) {
  set("hugepages-64kB/enabled", "[always] inherit madvise never");
  EXPECT_EQ(settings().anonymous, !can_be_told());
  set("hugepages-64kB/shmem_enabled", "always inherit within_size [advise] never");
  EXPECT_TRUE(settings().shared);
}

TEST_F(HugePages, SharedMemoryHasItsOwnSetting) {
  for (const char* text : {"always [within_size] advise never deny force", "always within_size advise never deny [force]"}) {
    set("shmem_enabled", text);
    EXPECT_TRUE(settings().shared) << text;
  }
  set("shmem_enabled", "always within_size advise never [deny] force");
  EXPECT_FALSE(settings().shared);
}

TEST_F(HugePages, AKernelWithoutThemHasNone) {
  fs::remove_all(folder_);
  EXPECT_FALSE(settings().anonymous || settings().shared);
}

TEST_F(HugePages, AskingLeavesTheProcessAsItWas) {
  const int advised = can_be_told() ? 3 : 0;
  const int before = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
  set("enabled", "[always] madvise never");
  settings();
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), before);
  ASSERT_EQ(forbid_huge_pages(), 0);
  settings();
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
  ASSERT_EQ(allow_advised_huge_pages(), 0);
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), advised);
  prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

TEST(ChosenWord, StandsInBrackets) {
  EXPECT_EQ(chosen_word("always [madvise] never"), "madvise");
  EXPECT_EQ(chosen_word("always madvise never"), "");
  EXPECT_EQ(chosen_word(""), "");
}

}  // namespace
}  // namespace faultline
