// Each pair of twins flips both kinds of models; and how departures are named.
#include "kernels_ref/twins.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "harness/language/parser.h"
#include "kernels_ref/predict.h"

namespace faultline::ref {
namespace {

class EachPair : public testing::TestWithParam<Twins> {};

// Whether some outcome meets the condition of the claim; for `always`, whether every outcome does.
bool shown(const Claim& claim, const Allowed& allowed) {
  const auto has = [&](const Outcome& outcome) { return holds(claim.condition, allowed.schema, outcome); };
  const bool always = claim.kind == Claim::Kind::always;
  return always ? std::ranges::all_of(allowed.outcomes, has) : std::ranges::any_of(allowed.outcomes, has);
}

// Some claim does not hold, or the reference itself has a finding.
bool wrong(const Program& program, const Allowed& allowed) {
  return !allowed.findings.empty() || std::ranges::any_of(program.claims, [&](const Claim& claim) {
    return shown(claim, allowed) == (claim.kind == Claim::Kind::never);
  });
}

TEST_P(EachPair, FlipsTheScenario) {
  const std::string path = "stress/scenarios/" + std::string(GetParam().scenario);
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  ASSERT_FALSE(text.str().empty()) << path;
  const Program program = parse(text.str(), path);
  Facets facets;
  if (!program.devices.empty()) facets.device_class = program.devices.front().device_class;
  const Allowed healthy = predict(program, facets);
  EXPECT_TRUE(healthy.complete);
  EXPECT_FALSE(wrong(program, healthy));
  facets.dropped.set(static_cast<std::size_t>(GetParam().rule));
  EXPECT_TRUE(wrong(program, predict(program, facets, {.states = 300'000})));
}

TEST_P(EachPair, FlipsTheProtocol) {
  const Twins& pair = GetParam();
  const protocol::Report healthy = examine(pair.protocol(), pair.besides);
  EXPECT_TRUE(healthy.complete);
  EXPECT_FALSE(healthy.has(pair.finding));
  EXPECT_TRUE(examine(pair.protocol(), pair.besides | protocol::with({pair.variant})).has(pair.finding));
}

INSTANTIATE_TEST_SUITE_P(Twins, EachPair, testing::ValuesIn(twins()), [](const auto& info) {
  std::string name(name_of(info.param.rule));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

template <class Enum>
void each_is_found_by_its_name() {
  for (int d = 0; d < static_cast<int>(Enum::count_); ++d) {
    const std::string_view name = name_of(static_cast<Enum>(d));
    EXPECT_EQ(named<Enum>(name), static_cast<Enum>(d));
    EXPECT_EQ(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), name.npos) << name;
  }
}

TEST(Departures, AreNamedByTheirEnumerators) {
  EXPECT_EQ(name_of(Rule::cow_copies_contents), "cow-copies-contents");
  EXPECT_EQ(name_of(protocol::Variant::whole_mm_sequence), "whole-mm-sequence");
  each_is_found_by_its_name<Rule>();
  each_is_found_by_its_name<protocol::Variant>();
  EXPECT_FALSE(named<Rule>("no-such-rule"));
  EXPECT_FALSE(named<Rule>("count-"));
}

}  // namespace
}  // namespace faultline::ref
