#include "harness/executor/page_failure.h"

#include <errno.h>

#include <gtest/gtest.h>

namespace faultline {
namespace {

TEST(PageFailure, NothingIsAskedForWithoutANumber) {
  const PageFailure none(0, [] { ADD_FAILURE() << "nothing to get ready for"; });
  EXPECT_EQ(none.error(), 0);
}

TEST(PageFailure, WarmsUpOrSaysWhy) {
  int warmed = 0;
  const PageFailure failure(30'000, [&] { ++warmed; });  // so many allocations do not come here
  EXPECT_TRUE(failure.error() == 0 || !has_page_failures()) << failure.error();
  EXPECT_EQ(warmed, failure.error() == ENOENT ? 0 : 1);
}

}  // namespace
}  // namespace faultline
