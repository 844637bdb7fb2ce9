// The tables of capabilities.h are complete. The agent's protocol would lose a member that has no row.
#include "harness/capabilities.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace faultline {
namespace {

// All values of `can` that the tables give.
std::vector<bool> told(const Capabilities& can) {
  std::vector<bool> all;
  for (const Capability& row : capability_table) all.push_back(row.of(can));
  for (const UsmKind& kind : usm_kinds)
    for (const UsmCapability& row : usm_table) all.push_back(can.*kind.member.*row.member);
  return all;
}

Capabilities nothing() {
  Capabilities can;
  for (const Capability& row : capability_table) row.of(can) = false;
  for (const UsmKind& kind : usm_kinds)
    for (const UsmCapability& row : usm_table) can.*kind.member.*row.member = false;
  return can;
}

TEST(Capabilities, EveryMemberHasARow) {
  const Capabilities none = nothing();
  std::size_t members = 0;
  for (std::size_t byte = sizeof(DeviceClass); byte < sizeof(Capabilities); ++byte) {
    Capabilities other = none;
    reinterpret_cast<unsigned char*>(&other)[byte] ^= 1;
    if (other == none) continue;  // a padding byte
    ++members;
    EXPECT_NE(told(other), told(none)) << "the member at byte " << byte << " is in no table";
  }
  EXPECT_EQ(members, told(none).size());
}

TEST(Capabilities, NamesAreDistinct) {
  for (const Capability& row : capability_table)
    for (const Capability& other : capability_table) EXPECT_EQ(row.name == other.name, &row == &other) << row.name;
}

}  // namespace
}  // namespace faultline
