// What the claims of July 2019 report in addition to their verdicts.
#include <gtest/gtest.h>

#include "kernels_ref/claims/claim.h"

namespace faultline::ref {
namespace {

const MailClaim& claim(const std::string& id) {
  static const std::vector<MailClaim> all = nouveau_2019_claims();
  for (const MailClaim& c : all)
    if (c.id == id) return c;
  throw std::out_of_range(id);
}

TEST(Nouveau2019Claims, ThreePathsUnlockTwiceBeforeTheSeriesAndEachIsShown) {
  const ClaimAnswer answer = claim("1.2").decide({});
  for (const char* path : {"hmm_range_wait_until_valid -EAGAIN: mmap_sem unlocked twice",
                           "hmm_range_fault 0: mmap_sem unlocked twice", "hmm_range_fault -EAGAIN: mmap_sem unlocked twice"}) {
    EXPECT_NE(answer.detail.find(path), std::string::npos) << answer.detail;
    EXPECT_NE(answer.witness.find(path), std::string::npos);
  }
  EXPECT_EQ(answer.detail.find("leaked"), std::string::npos);
}

TEST(Nouveau2019Claims, ALeakedRangeIsUsedAgainAndAfterItsStackIsGone) {
  const std::string detail = claim("1.9").decide({}).detail;
  EXPECT_NE(detail.find("hmm->ranges again"), std::string::npos) << detail;
  EXPECT_NE(detail.find("stack"), std::string::npos) << detail;
}

}  // namespace
}  // namespace faultline::ref
