// A Program about SVM as the events of the memory model: what reads, writes, hands over and synchronises, and in
// which order that is bound to happen whatever the values are.
//
// Programs have no branches, so that this order is the same in every execution: the statements of a thread (a
// request to a device is waited for, and its queue hands everything over at both ends), barriers, the start
// and the end. What accesses with an order add follows from who reads from whom (executions.h).
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
using Relation = std::vector<EventSet>;  // by event: those that come behind it

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
  int home = -1, value = 0;  // of a write: the cell it is stored through, what
  int from = -1;             // of a copy's write: the read whose value it writes
  int read = -1;             // of an update's write: its read
  op::Update update;         // and what it is
};

struct Events {
  explicit Events(const Program& program);

  const Program& program;
  Spans spans;
  std::vector<MemoryEvent> all;
  Relation sequenced;  // by thread, transitive
  Relation before;     // bound to happen before: sequenced, barriers, start and end, transitive

  std::string name(int event) const;  // "P.gpu: store a[0] 1"
};

// Accesses to USM by the host and by the device that nothing orders, whatever the values are.
std::vector<AtOnce> at_once(const Events& events);

// Adds what follows from two steps; `order` is acyclic afterwards if no event is behind itself.
void close(Relation& order);

}  // namespace faultline::ref
