// Each historic bug is found, and by nothing that its protocol shows when it is healthy.
#include <gtest/gtest.h>

#include "kernels_ref/protocol/mutant.h"

namespace faultline::ref::protocol {
namespace {

class FenceMutant : public testing::TestWithParam<Mutant> {};

TEST_P(FenceMutant, IsFoundAndItsProtocolIsClean) {
  const Mutant& m = GetParam();
  const Protocol p = m.protocol();
  const Report healthy = examine(p, {});
  EXPECT_TRUE(healthy.complete);
  EXPECT_EQ(healthy.findings, 0u) << m.what << " " << circle_text(healthy.circle);
  EXPECT_FALSE(livelock(p, {}).livelock) << m.what;
  if (m.expected == Finding::livelock) {
    EXPECT_TRUE(livelock(p, with({m.variant})).livelock) << m.what;
  } else {
    EXPECT_TRUE(examine(p, with({m.variant})).has(m.expected)) << m.what;
  }
}
INSTANTIATE_TEST_SUITE_P(History, FenceMutant, testing::ValuesIn(fence_mutants()), [](const auto& info) {
  std::string name = "Bug" + std::to_string(info.param.bug) + "_";
  for (const char c : variant_name(info.param.variant)) name += c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace faultline::ref::protocol
