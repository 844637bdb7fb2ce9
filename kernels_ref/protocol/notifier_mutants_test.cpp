// Each historic bug of notifiers is found, and the protocol without it is clean.
#include <gtest/gtest.h>

#include "kernels_ref/protocol/mutant.h"

namespace faultline::ref::protocol {
namespace {

class NotifierMutant : public testing::TestWithParam<Mutant> {};

TEST_P(NotifierMutant, IsFoundAndOnlyThere) {
  const Mutant& mutant = GetParam();
  const Protocol protocol = mutant.protocol();
  const Report healthy = examine(protocol, {}), broken = examine(protocol, with({mutant.variant}));
  EXPECT_TRUE(healthy.complete);
  EXPECT_GT(healthy.ends, 0u);
  EXPECT_EQ(healthy.findings, 0u);
  EXPECT_TRUE(broken.has(mutant.expected)) << mutant.name << ": " << broken.findings;
  EXPECT_TRUE(witness(protocol, with({mutant.variant}), mutant.expected).schedule);
}

INSTANTIATE_TEST_SUITE_P(Historic, NotifierMutant, testing::ValuesIn(notifier_mutants()),
                         [](const auto& mutant) { return "bug" + std::to_string(mutant.param.bug); });

}  // namespace
}  // namespace faultline::ref::protocol
