#include "kernels_ref/claims/claim.h"

namespace faultline::ref {

using namespace protocol;

const char* verdict_text(ClaimVerdict verdict) {
  switch (verdict) {
    case ClaimVerdict::holds: return "holds";
    case ClaimVerdict::refuted: return "refuted";
    case ClaimVerdict::only_if: return "holds only if";
    case ClaimVerdict::undecided: return "undecided";
  }
  return "?";
}

std::vector<MailClaim> mail_claims() {
  std::vector<MailClaim> all;
  for (const auto& of_thread : {dying_mm_claims(), nouveau_2019_claims(), pin_claims(), fork_and_fence_claims(), find_claims()})
    all.insert(all.end(), of_thread.begin(), of_thread.end());
  return all;
}

Decide never(std::function<Protocol()> protocol, Variants fixed, std::vector<Finding> findings) {
  return [protocol, fixed, findings](const Variants& extra) {
    const Protocol p = protocol();
    const Variants variants = fixed | extra;
    Report report = examine(p, variants);
    ClaimAnswer answer{.states = report.states};
    for (const Finding f : findings) {
      if (f == Finding::livelock) {
        const LivelockFound found = livelock(p, variants);
        report.complete = report.complete && found.complete;
        if (!found.livelock) continue;
        answer.verdict = ClaimVerdict::refuted;
        answer.detail = finding_text(f);
        answer.witness = schedule_text(found.livelock->leading, thread_names(p)) + "and then for ever:\n" +
                         schedule_text(found.livelock->cycle, thread_names(p));
        return answer;
      }
      if (!report.has(f)) continue;
      answer.verdict = ClaimVerdict::refuted;
      answer.detail = f == Finding::order_cycle ? circle_text(report.circle) : finding_text(f);
      if (const Found found = protocol::witness(p, variants, f); found.schedule)
        answer.witness = schedule_text(*found.schedule, thread_names(p));
      return answer;
    }
    answer.verdict = report.complete ? ClaimVerdict::holds : ClaimVerdict::undecided;
    answer.detail = report.complete ? std::to_string(report.states) + " states" : "the budget ended before the states did";
    return answer;
  };
}

}  // namespace faultline::ref
