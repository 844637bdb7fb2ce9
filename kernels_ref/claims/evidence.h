// Collects what decides a claim with several parts: reports, figures, and what speaks against it.
#pragma once

#include "kernels_ref/claims/claim.h"

namespace faultline::ref {

class Evidence {
 public:
  // Examines every execution of the protocol.
  protocol::Report look(const protocol::Protocol& protocol, const protocol::Variants& variants);
  // The claim says that nothing is found; a finding speaks against it and is the witness.
  void clean(const protocol::Protocol& protocol, const protocol::Variants& variants);
  // The claim says that this is found; the schedule that shows it is the witness.
  void finds(const protocol::Protocol& protocol, const protocol::Variants& variants, protocol::Finding finding);
  // A line of the answer.
  void says(const std::string& text);
  // A line of a table.
  void row(const std::string& name, const std::vector<int>& figures);
  // A line of the answer that speaks against the claim.
  void contradict(const std::string& text);

  ClaimAnswer answer(ClaimVerdict if_good = ClaimVerdict::holds, ClaimVerdict if_not = ClaimVerdict::refuted);

 private:
  void show(const protocol::Protocol& protocol, const protocol::Variants& variants, protocol::Finding finding);
  ClaimAnswer answer_;
  bool good_ = true, complete_ = true;
};

}  // namespace faultline::ref
