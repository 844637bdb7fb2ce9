#include "kernels_ref/protocol/machine/protocol.h"

#include <algorithm>
#include <cstddef>

namespace faultline::ref::protocol {

namespace {

class ProtocolSubject : public Subject {
 public:
  ProtocolSubject(const Protocol& protocol, const Variants& variants) : protocol_(protocol), variants_(variants) {}

  int threads() const override { return static_cast<int>(protocol_.threads.size()); }
  std::size_t shared_bytes() const override { return offsetof(World, record); }
  std::size_t record_bytes() const override { return sizeof(Record); }
  int group(int thread) const override {
    const auto& t = protocol_.threads;
    while (thread > 0 && t[thread].run == t[thread - 1].run && t[thread].argument == t[thread - 1].argument) --thread;
    return thread;
  }
  // The records lie last. The Machine has room only for those of its threads.
  void start(void* bytes) const override {
    World world;
    if (protocol_.start) protocol_.start(world);
    std::memcpy(bytes, &world, shared_bytes() + record_bytes() * protocol_.threads.size());
  }
  Task<void> thread(void* bytes, Suspension* place, int thread) const override {
    World* world = static_cast<World*>(bytes);
    const ThreadOf& t = protocol_.threads[thread];
    return t.run(Kernel{world, &world->record[thread], place, &variants_, &order}, t.argument);
  }
  bool arrive(void* bytes) const override {
    World& world = *static_cast<World*>(bytes);
    if (protocol_.always) protocol_.always(world);
    if (world.findings) findings |= world.findings;
    return true;
  }
  bool unfinished(const void*, int thread) const override { return !protocol_.threads[thread].daemon; }

  mutable Order order;
  mutable std::atomic<std::uint32_t> findings = 0;

 private:
  const Protocol& protocol_;
  const Variants variants_;
};

// The findings of an end state.
std::uint32_t at_end(const Protocol& protocol, const void* bytes, bool waits) {
  if (waits) return bit(Finding::waits_for_ever);
  World world;
  std::memcpy(static_cast<void*>(&world), bytes, offsetof(World, record) + sizeof(Record) * protocol.threads.size());
  if (protocol.at_end) protocol.at_end(world);
  return world.findings;
}

}  // namespace

const char* finding_text(Finding finding) {
  switch (finding) {
    case Finding::unlock_not_held: return "unlocks what it does not hold";
    case Finding::lock_at_return: return "returns with a lock held";
    case Finding::lock_recursion: return "takes a lock that it holds";
    case Finding::missing_lock: return "called without the lock that it needs";
    case Finding::use_after_free: return "use after free";
    case Finding::double_free: return "double free";
    case Finding::not_registered: return "unregisters what is not registered";
    case Finding::null_pointer: return "follows a null pointer";
    case Finding::list_corruption: return "adds to a list what is on it";
    case Finding::stale_entry: return "the device maps what the CPU does not";
    case Finding::wrong_page: return "the device reaches a page that is not its mm's";
    case Finding::wrong_result: return "a result that no serial order gives";
    case Finding::lost_write: return "a write is lost";
    case Finding::needless_fault: return "an access faults although nothing took its mapping away";
    case Finding::leak: return "something is left behind";
    case Finding::sleep_in_atomic: return "sleeps where it must not";
    case Finding::order_cycle: return "locks wait for each other in a circle";
    case Finding::waits_for_ever: return "waits for ever";
    case Finding::livelock: return "runs for ever without getting on";
    case Finding::count_: break;
  }
  return "?";
}

Report examine(const Protocol& protocol, const Variants& variants, const Limits& limits,
               const std::function<bool(std::uint64_t)>& keep_going) {
  const ProtocolSubject subject(protocol, variants);
  Report report;
  std::uint64_t ends = 0;
  bool found = false;
  int edges = 0;
  const auto circular = [&] {
    if (subject.order.edges() == edges) return false;
    edges = subject.order.edges();
    return !subject.order.circle().empty();
  };
  const auto end = [&](const void* bytes, bool waits) {
    ++ends;
    report.findings |= at_end(protocol, bytes, waits);
    if (!found && (report.findings || subject.findings || circular())) {
      found = true;
      report.ends_until_found = ends;
    }
    const World& world = *static_cast<const World*>(bytes);
    for (std::size_t i = 0; i < report.most.size(); ++i) report.most[i] = std::max(report.most[i], world.count[i]);
    if (!waits && protocol.outcome) {
      World whole;
      std::memcpy(static_cast<void*>(&whole), bytes, offsetof(World, record) + sizeof(Record) * protocol.threads.size());
      report.outcomes.insert(protocol.outcome(whole));
    }
  };
  const Exploration e = explore(subject, limits, end, keep_going);
  report.complete = e.complete;
  report.states = e.states;
  report.ends = e.ends;
  report.findings |= subject.findings;
  report.circle = subject.order.circle();
  if (!report.circle.empty()) report.findings |= bit(Finding::order_cycle);
  return report;
}

Found witness(const Protocol& protocol, const Variants& variants, Finding finding, std::uint64_t max_states) {
  return shortest(
      ProtocolSubject(protocol, variants),
      [&](const Moment& m) {
        if (static_cast<const World*>(m.world)->findings & bit(finding)) return true;
        return m.end && (at_end(protocol, m.world, m.waits) & bit(finding)) != 0;
      },
      max_states);
}

Found witness(const Protocol& protocol, const Variants& variants, const std::string& outcome, std::uint64_t max_states) {
  return shortest(
      ProtocolSubject(protocol, variants),
      [&](const Moment& m) {
        if (!m.end || m.waits) return false;
        World world;
        std::memcpy(static_cast<void*>(&world), m.world, offsetof(World, record) + sizeof(Record) * protocol.threads.size());
        return protocol.outcome(world) == outcome;
      },
      max_states);
}

LivelockFound livelock(const Protocol& protocol, const Variants& variants, std::uint64_t max_states) {
  return find_livelock(ProtocolSubject(protocol, variants), max_states);
}

std::vector<std::string> thread_names(const Protocol& protocol) {
  std::vector<std::string> names;
  for (const ThreadOf& t : protocol.threads) names.push_back(t.name);
  return names;
}

}  // namespace faultline::ref::protocol
