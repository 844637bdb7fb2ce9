// Several iterations without the runner. To wake the runner after each iteration, and the leader for the next, takes longer than
// a short iteration. So where Layout::unattended is in force, the leader of the root keeps the results of an iteration and begins
// the next, and the runner reads what was kept afterwards.
//
// The last turn is not kept: the area holds it, as it holds an iteration that runs alone. So an iteration that hangs, crashes or
// fails is the last turn. The runner and the leader agree on which one it is by one word, Turns::now: the leader counts it up, unless
// the runner has set Turns::stop in it.
#pragma once

#include "harness/executor/operation.h"

namespace faultline {

// How many iterations of the program may follow one another. 1: the runner starts each.
std::uint32_t most_turns(const Program& program, const Layout& layout);

// Resets what the last iteration left in the records of processes, threads, statements and observes.
void reset_records(const Program& program, const Layout& layout, Area& area);
void forget_readings(const Program& program, Area& area);

// The leader's part at the end of an iteration: keeps its results and prepares the next round, which begins with its start. False if this turn is the last: there
// is no other, the runner stops it, or something has happened that the runner must look at.
bool next_turn(const ProcessContext& context);

// What next_turn() kept of a statement (Layout::first_slot) or an observe (Layout::slots + its index).
const SeenResult& kept(const Program& program, const Layout& layout, const Area& area, std::uint32_t turn, int index);

}  // namespace faultline
