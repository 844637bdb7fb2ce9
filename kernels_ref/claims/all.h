// Every claim of the mail threads, and every protocol mutant, in the order of their numbers.
#pragma once

#include "kernels_ref/claims/claim.h"
#include "kernels_ref/protocol/mutant.h"

namespace faultline::ref {

std::vector<MailClaim> mail_claims();
std::vector<protocol::Mutant> protocol_mutants();

// How one mutant fares: the healthy protocol must be clean, the broken one found.
struct MutantScore {
  bool healthy_clean = false;
  bool caught = false;
  std::string by;  // the finding
  std::uint64_t executions = 0;  // that came to their end before the first finding, the one that shows it included
  std::uint64_t states = 0;
  bool complete = false;
};
MutantScore score(const protocol::Mutant& mutant);

}  // namespace faultline::ref
