// lib/fault-inject.c: should_fail_ex() with current->fail_nth, for the allocations of pages in a request.
#pragma once

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

// In place of a number: which of the next allocations fails is not known, because what the kernel allocated meanwhile is not
// modelled (parts of page tables, nodes of an xarray).
inline constexpr std::uint8_t some_allocation = 255;

inline bool may_fail(Cpu cpu) { return cpu.self().fail_nth > 0 && cpu.on(Rule::migrate_runs_out); }

// Whether this allocation of a page fails. Ask may_fail() first.
inline Task<bool> allocation_fails(Cpu cpu, const char* label) {
  ThreadState& self = cpu.self();
  if (self.fail_nth != some_allocation) co_return --self.fail_nth == 0;
  const int fails = co_await cpu.choose(label, 2);
  if (fails) self.fail_nth = 0;
  co_return fails;
}

}  // namespace faultline::ref
