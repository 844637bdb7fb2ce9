// What speaks against a claim refutes it.
#include "kernels_ref/claims/evidence.h"

#include <gtest/gtest.h>

#include "kernels_ref/protocol/drivers/amdkfd_vram.h"

namespace faultline::ref {
namespace {

using namespace protocol;

const Variants broken = with({Variant::bo_unref_without_lock});

TEST(Evidence, HoldsWhileNothingSpeaksAgainstIt) {
  Evidence e;
  e.clean(svm_bo_release(), {});
  e.finds(svm_bo_release(), broken, Finding::use_after_free);
  const ClaimAnswer answer = e.answer();
  EXPECT_EQ(answer.verdict, ClaimVerdict::holds);
  EXPECT_NE(answer.witness.find("svm_range_bo_unref"), std::string::npos) << answer.witness;
  EXPECT_GT(answer.states, 0u);
}

TEST(Evidence, AFindingSpeaksAgainstClean) {
  Evidence e;
  e.clean(svm_bo_release(), broken);
  const ClaimAnswer answer = e.answer(ClaimVerdict::only_if, ClaimVerdict::refuted);
  EXPECT_EQ(answer.verdict, ClaimVerdict::refuted);
  EXPECT_EQ(answer.detail, "svm_bo, let go by two: use after free");
}

TEST(Evidence, NothingFoundSpeaksAgainstFinds) {
  Evidence e;
  e.finds(svm_bo_release(), {}, Finding::use_after_free);
  EXPECT_EQ(e.answer().verdict, ClaimVerdict::refuted);
}

TEST(Evidence, RowsAreAligned) {
  Evidence e;
  e.row("length", {1, 16});
  EXPECT_EQ(e.answer().detail, "length" + std::string(28, ' ') + "    1   16");
}

}  // namespace
}  // namespace faultline::ref
