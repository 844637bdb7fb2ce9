// A Program about SVM as events of the memory model: reads, writes, maps and unmaps, barriers; and the order of
// events that holds whatever the values are.
//
// Programs have no branches, so this order is the same in every execution. It comes from the statements of a
// thread, from barriers, from the start and from the end. (A thread waits for its request to a device, and the
// queue hands everything over at both ends.) Accesses with a memory order add to this order; what they add depends
// on which write each read reads from (executions.h).
#pragma once

#include <bitset>
#include <string>
#include <vector>

#include "harness/allowed.h"
#include "harness/program.h"
#include "harness/spans.h"

namespace faultline::ref {

inline constexpr int max_events = 2 * limits::operations + limits::spans + limits::observes;
using EventSet = std::bitset<max_events>;
using Relation = std::vector<EventSet>;  // by event: the events that come behind it

struct MemoryEvent {
  enum class Kind {
    write,  // of a cell: the initial one (thread -1), a store, a fill, the second half of a copy
    read,   // a load, the first half of a copy, an observe (thread -1)
    map,    // of a coarse-grained buffer's cells to the host
    unmap,
    migrate,  // of a buffer's cells; changes nothing
    arrive,   // at a barrier
    depart,
  };
  Kind kind = Kind::write;
  int thread = -1;
  int statement = -1;
  int observe = -1;
  int cell = -1;  // index of a span; of map, unmap and migrate the first one
  int last = -1;  // of map, unmap and migrate: the last span
  Order order = Order::plain;
  bool device = false;
  bool coarse = false;       // the cell is in a coarse-grained buffer
  Protection access;         // of map
  int home = -1, value = 0;  // of a write: the cell through which it is stored, and the value
  int from = -1;             // of a copy's write: the read whose value it writes
  int read = -1;             // of an update's write: its read
  op::Update update;         // of an update's write: the operation
};

struct Events {
  explicit Events(const Program& program);

  const Program& program;
  Spans spans;
  std::vector<MemoryEvent> all;
  Relation sequenced;  // by thread, transitive
  Relation before;     // happens before, whatever the values are: sequenced, barriers, start and end, transitive

  std::string name(int event) const;  // "P.gpu: store a[0] 1"
};

// Pairs of accesses to USM, one by the host and one by the device, that nothing orders whatever the values are.
std::vector<AtOnce> at_once(const Events& events);

// Makes `order` transitive. It then has no cycle if no event is behind itself.
void close(Relation& order);

}  // namespace faultline::ref
