#include "stress/storms/page.h"

#include <gtest/gtest.h>

#include "stress/storms/family.h"

namespace faultline::storms {
namespace {

constexpr std::uint64_t own = std::uint64_t{3} << 32;

class PageTest : public testing::Test {
 protected:
  bool store(std::uint64_t value, int error = 0) { return history.stored(before, after, value, error) == nullptr; }
  bool load(std::uint64_t value, int error = 0) {
    exact = false;
    return history.loaded(before, after, value, error, exact) == nullptr;
  }
  void drops(std::uint32_t begun, std::uint32_t done) {  // at one moment
    before.drops_begun = after.drops_begun = begun;
    before.drops_done = after.drops_done = done;
  }
  void mapping(std::uint32_t version, Rights rights) {
    before.version = after.version = version;
    before.rights = after.rights = rights;
  }

  PageHistory history;
  Moment before, after;
  bool exact = false;
};

TEST_F(PageTest, HoldsTheLastStore) {
  EXPECT_TRUE(load(0) && exact);
  EXPECT_FALSE(load(own + 1));  // nothing was stored
  EXPECT_TRUE(store(own + 1));
  EXPECT_TRUE(load(own + 1) && exact);
  EXPECT_FALSE(load(0));
  EXPECT_TRUE(store(own + 2));
  EXPECT_FALSE(load(own + 1));
}

TEST_F(PageTest, ThatWasDroppedIsEmpty) {
  EXPECT_TRUE(store(own + 1));
  drops(1, 1);
  EXPECT_TRUE(load(0) && exact);
  EXPECT_FALSE(load(own + 1));
  EXPECT_TRUE(store(own + 2));
  EXPECT_TRUE(load(own + 2));
}

TEST_F(PageTest, ThatIsBeingDroppedHoldsOldOrNothing) {
  EXPECT_TRUE(store(own + 1));
  EXPECT_TRUE(store(own + 2));
  drops(1, 0);
  EXPECT_TRUE(load(own + 2) && !exact);
  EXPECT_TRUE(load(own + 1));
  EXPECT_TRUE(load(0));
  EXPECT_FALSE(load(own + 3));                       // is yet to be stored
  EXPECT_FALSE(load((std::uint64_t{4} << 32) + 1));  // of another page
  EXPECT_TRUE(store(own + 3));                       // beside the drop, so it may be gone
  drops(1, 1);
  EXPECT_TRUE(load(own + 3));
  EXPECT_TRUE(load(0) && !exact);
}

TEST_F(PageTest, IsAsTheMappingAllows) {
  EXPECT_FALSE(store(own + 1, EFAULT));
  mapping(2, Rights::read);
  EXPECT_TRUE(load(0));
  EXPECT_FALSE(load(0, EFAULT));
  EXPECT_TRUE(store(own + 1, EPERM));
  EXPECT_FALSE(store(own + 1));
  for (const Rights rights : {Rights::none, Rights::absent}) {
    mapping(4, rights);
    EXPECT_TRUE(load(0, EFAULT));
    EXPECT_FALSE(load(0));
    EXPECT_TRUE(store(own + 2, EFAULT));
    EXPECT_FALSE(store(own + 2));
  }
}

TEST_F(PageTest, MayBeEitherWhileTheMappingChanges) {
  mapping(3, Rights::all);
  EXPECT_TRUE(store(own + 1, EFAULT));
  EXPECT_TRUE(store(own + 1));
  mapping(2, Rights::none);
  after.version = 3;
  EXPECT_TRUE(load(own + 1));
  EXPECT_TRUE(load(0, EFAULT));
}

TEST_F(PageTest, IsNotBlamedWhenTheDriverGivesUp) {
  EXPECT_TRUE(store(own + 1, EBUSY));
  EXPECT_TRUE(load(0, ENOMEM));
}

TEST(Inheritance, IsWhatTheParentHadWhileItForked) {
  constexpr std::uint64_t parent = std::uint64_t{7} << 32, before = std::uint64_t{2} << 32;
  // The parent never stored: the child has what the parent inherited.
  EXPECT_TRUE(may_inherit(before + 4, before + 4, before + 4));
  EXPECT_FALSE(may_inherit(0, before + 4, before + 4));
  // It stored 3 before fork(), and had begun 5 when fork() returned.
  for (int stored = 0; stored < 8; ++stored)
    EXPECT_EQ(may_inherit(parent + stored, parent + 3, parent + 5), stored >= 3 && stored <= 5) << stored;
  EXPECT_FALSE(may_inherit(before + 4, parent + 3, parent + 5));
  // Its first store ran beside fork().
  EXPECT_TRUE(may_inherit(before + 4, before + 4, parent + 1));
  EXPECT_TRUE(may_inherit(parent + 1, before + 4, parent + 1));
  EXPECT_FALSE(may_inherit(parent + 2, before + 4, parent + 1));
}

}  // namespace
}  // namespace faultline::storms
