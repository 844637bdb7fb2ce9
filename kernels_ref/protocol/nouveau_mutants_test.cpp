// Each historic bug is found, and by what it was known for; its healthy protocol is clean.
#include <gtest/gtest.h>

#include "kernels_ref/protocol/mutant.h"

namespace faultline::ref::protocol {
namespace {

class NouveauMutants : public testing::TestWithParam<Mutant> {};

TEST_P(NouveauMutants, TheHealthyProtocolIsClean) {
  const Protocol protocol = GetParam().protocol();
  const Report report = examine(protocol, {});
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.findings, 0u) << protocol.name << " " << circle_text(report.circle);
  EXPECT_FALSE(livelock(protocol, {}).livelock) << protocol.name;
}

TEST_P(NouveauMutants, IsFound) {
  const Mutant& mutant = GetParam();
  const Variants broken = with({mutant.variant});
  if (mutant.expected == Finding::livelock)
    EXPECT_TRUE(livelock(mutant.protocol(), broken).livelock) << mutant.what;
  else
    EXPECT_TRUE(examine(mutant.protocol(), broken).has(mutant.expected)) << mutant.what;
}

INSTANTIATE_TEST_SUITE_P(All, NouveauMutants, testing::ValuesIn(nouveau_mutants()), [](const auto& info) {
  std::string name(variant_name(info.param.variant));
  for (char& c : name) c = c == '-' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace faultline::ref::protocol
