// A protocol: a few kernel threads on the protocol machine, and what is examined in all their executions.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "kernels_ref/engine/explorer.h"
#include "kernels_ref/engine/schedule.h"
#include "kernels_ref/protocol/machine/kernel.h"

namespace faultline::ref::protocol {

// Neighbours with the same function and argument are equal threads.
struct ThreadOf {
  const char* name;
  Task<void> (*run)(Kernel, int);
  int argument = 0;
  bool daemon = false;  // a worker: it may wait at the end without a finding
};

struct Protocol {
  const char* name = "";
  std::vector<ThreadOf> threads;
  void (*start)(World&) = nullptr;                 // from a World{}
  void (*always)(World&) = nullptr;                // an invariant: notes a Finding; null: none
  void (*at_end)(World&) = nullptr;                // checks end states where nobody waits in vain: leaks, lost writes
  std::string (*outcome)(const World&) = nullptr;  // the outcome of such an end state; null: there is none
};

const char* finding_text(Finding finding);

struct Report {
  bool complete = false;
  std::uint64_t states = 0;
  std::uint64_t ends = 0;
  std::uint32_t findings = 0;  // bit per Finding, waits_for_ever and order_cycle included
  std::vector<Lock> circle;    // with order_cycle
  std::set<std::string> outcomes;
  std::array<std::uint8_t, 8> most{};  // the most of each World::count in any end state, also if somebody waits in vain
  std::uint64_t ends_until_found = 0;  // executions that had ended at the first finding, with that one; one worker only
  bool has(Finding f) const { return findings & bit(f); }
};

// Every execution of the protocol under the variants.
Report examine(const Protocol& protocol, const Variants& variants, const Limits& limits = {},
               const std::function<bool(std::uint64_t)>& keep_going = {});

// The shortest schedule into a finding. (None for order_cycle: no single execution need show the circle.)
Found witness(const Protocol& protocol, const Variants& variants, Finding finding, std::uint64_t max_states = 2'000'000);
// ... and to an outcome.
Found witness(const Protocol& protocol, const Variants& variants, const std::string& outcome,
              std::uint64_t max_states = 2'000'000);
LivelockFound livelock(const Protocol& protocol, const Variants& variants, std::uint64_t max_states = 2'000'000);

std::vector<std::string> thread_names(const Protocol& protocol);

}  // namespace faultline::ref::protocol
