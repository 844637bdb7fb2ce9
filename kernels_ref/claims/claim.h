// A claim of a mail thread, as a check that runs.
//
// The verdict is first reasoned (`expected`, `why`) and then found by exploration. It must flip under a named
// variant, so that no check is empty.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kernels_ref/protocol/machine/protocol.h"

namespace faultline::ref {

enum class ClaimVerdict { holds, refuted, only_if, undecided };
// "holds", "refuted", "holds only if", "undecided"
const char* verdict_text(ClaimVerdict verdict);

struct ClaimAnswer {
  ClaimVerdict verdict = ClaimVerdict::undecided;
  std::string detail;   // what was found, in a line; a table for a cost
  std::string witness;  // the shortest schedule that shows it, as columns; empty: there is none to show
  std::uint64_t states = 0;
};

// Decides the claim with these variants in force, in addition to the claim's own.
using Decide = std::function<ClaimAnswer(const protocol::Variants&)>;

struct MailClaim {
  const char* id;    // "1.6"
  const char* says;  // the claim, in a sentence
  ClaimVerdict expected;
  const char* why;  // the reason to expect it, before it was run
  Decide decide;
  std::vector<protocol::Variant> flips;  // any of these changes the verdict
  // A scenario of this tree that asks a real kernel the same question, and a rule of the reference (rules.h). Without
  // the rule the scenario's claims fail. Null: no kernel can show it from outside.
  const char* scenario = nullptr;
  const char* flips_without = nullptr;
  // The experiment of stress/direct_io that asks a real kernel, where a scenario cannot.
  const char* experiment = nullptr;
};

// The claims of one mail thread, in the order of their numbers.
std::vector<MailClaim> dying_mm_claims();        // 0.*
std::vector<MailClaim> nouveau_2019_claims();    // 1.*
std::vector<MailClaim> pin_claims();             // 2.*
std::vector<MailClaim> fork_and_fence_claims();  // 3.*
std::vector<MailClaim> find_claims();            // 4.*
std::vector<MailClaim> mail_claims();            // all of them

// "No execution of `protocol` under `fixed` has any of `findings`": holds or refuted, with the witness.
Decide never(std::function<protocol::Protocol()> protocol, protocol::Variants fixed, std::vector<protocol::Finding> findings);

}  // namespace faultline::ref
