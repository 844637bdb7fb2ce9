#include "kernels_ref/explorer.h"

#include <tsl/robin_set.h>
#include <xxhash.h>

#include "kernels_ref/thread.h"

namespace faultline::ref {

namespace {

struct Hash128 {
  std::uint64_t low, high;
  friend bool operator==(const Hash128&, const Hash128&) = default;
};
struct HashOfHash {
  std::size_t operator()(const Hash128& h) const { return h.low; }
};

struct Choice {
  std::uint8_t thread;
  std::uint8_t way;
};

// The state that threads run in, at one address for the whole exploration.
class Machine {
 public:
  Machine(const Shape& shape, const std::function<void(World&)>& start)
      : shape_(shape), state_(std::make_unique<State>()), threads_(static_cast<int>(shape.program->threads.size())) {
    start(state_->world);
    for (int t = 0; t < threads_; ++t) {
      current_stack = &state_->stack[t];
      void* outermost = thread_main(Cpu{&shape_, state_.get(), t}).release();
      state_->suspension[t].leaf = outermost;
      resume({static_cast<std::uint8_t>(t), 0});  // to its first suspension
    }
  }

  World& world() { return state_->world; }

  void resume(Choice choice) {
    current_stack = &state_->stack[choice.thread];
    Suspension& s = state_->suspension[choice.thread];
    s.chosen = choice.way;
    const auto leaf = std::coroutine_handle<>::from_address(s.leaf);
    s.leaf = nullptr;  // stays so when the thread ends
    leaf.resume();
  }

  // Every way in which some thread can go on.
  void choices(std::vector<Choice>& out) const {
    out.clear();
    for (int t = 0; t < threads_; ++t) {
      const Suspension& s = state_->suspension[t];
      if (!s.leaf) continue;
      const int ways = s.alternatives ? s.alternatives(s.condition) : 1;
      for (int w = 0; w < ways; ++w) out.push_back({static_cast<std::uint8_t>(t), static_cast<std::uint8_t>(w)});
    }
  }

  // A thread that has not come to the end of its statements, in a state where nobody can go on.
  bool someone_waits() const {
    for (int t = 0; t < threads_; ++t)
      if (state_->suspension[t].leaf && state_->world.thread[t].life == ThreadState::Life::running) return true;
    return false;
  }

  void save(std::vector<std::byte>& out) {
    out.clear();
    for (Suspension& s : state_->suspension) s.chosen = 0;
    append(out, &state_->world, sizeof state_->world);
    append(out, state_->suspension.data(), sizeof(Suspension) * threads_);
    for (int t = 0; t < threads_; ++t) {
      append(out, &state_->stack[t].used, sizeof state_->stack[t].used);
      append(out, state_->stack[t].bytes, state_->stack[t].used);
    }
  }

  void restore(const std::vector<std::byte>& in) {
    const std::byte* at = in.data();
    const auto take = [&at](void* to, std::size_t size) {
      std::memcpy(to, at, size);
      at += size;
    };
    take(&state_->world, sizeof state_->world);
    take(state_->suspension.data(), sizeof(Suspension) * threads_);
    for (int t = 0; t < threads_; ++t) {
      FrameStack& stack = state_->stack[t];
      const std::uint64_t before = stack.used;
      take(&stack.used, sizeof stack.used);
      take(stack.bytes, stack.used);
      if (before > stack.used) std::memset(stack.bytes + stack.used, 0, before - stack.used);
    }
  }

 private:
  static void append(std::vector<std::byte>& out, const void* from, std::size_t size) {
    const auto* bytes = static_cast<const std::byte*>(from);
    out.insert(out.end(), bytes, bytes + size);
  }

  const Shape& shape_;
  std::unique_ptr<State> state_;
  int threads_;
};

Hash128 hash(const std::vector<std::byte>& bytes) {
  const XXH128_hash_t h = XXH3_128bits(bytes.data(), bytes.size());
  return {h.low64, h.high64};
}

// Outside an invalidation an entry of the device maps the frame of the CPU's entry, and is writable only
// if that one is. (While a page migrates, its device entry is the migration's business.)
bool device_entries_agree(const World& w, int slots) {
  for (MmId m = 0; m < max_mms; ++m) {
    if (!w.mirror[m].files || w.mm[m].invalidating) continue;
    for (Slot s = 0; s < slots; ++s) {
      const DeviceEntry& e = w.mirror[m].entry[s];
      const Pte& pte = w.mm[m].pte[s];
      if (!e.valid() || pte.kind == Pte::Kind::migration) continue;
      if (e.frame == zero_page ? pte.kind != Pte::Kind::zero : pte.frame != e.frame) {
        // A migration of a page that was not there: the device's entry comes before the CPU's knows.
        if (pte.kind == Pte::Kind::device || (e.frame != zero_page && w.frame[e.frame].kind == Frame::Kind::device))
          continue;
        return false;
      }
      if (e.writable && !pte.writable) return false;
    }
  }
  return true;
}

// After these nothing is defined. (A fault on a dead mm is -EFAULT on kernels without that bug.)
constexpr std::uint32_t undefined_bugs = ~(1u << static_cast<int>(KnownBug::dead_mm_fault));

struct Node {
  std::vector<std::byte> state;
  std::vector<Choice> choices;
  std::size_t next = 0;
};

}  // namespace

Exploration explore(const Shape& shape, const std::function<void(World&)>& start, const Limits& limits,
                    const std::function<void(const World&)>& at_end,
                    const std::function<bool(std::uint64_t)>& keep_going) {
  Exploration result;
  Machine machine(shape, start);
  tsl::robin_set<Hash128, HashOfHash> seen;
  std::vector<Node> path;  // grows and keeps its buffers; `depth` of them are in use
  std::size_t depth = 0;

  // Takes in the machine's present state; pushes it when it is new and not an end.
  const auto arrive = [&] {
    World& w = machine.world();
    if (!device_entries_agree(w, shape.slots)) w.broken |= 1u << static_cast<int>(Broken::stale_device_entry);
    result.broken |= w.broken;
    result.known_bugs |= w.known_bugs;
    if ((w.known_bugs & undefined_bugs) || (w.broken >> static_cast<int>(Broken::tables_full) & 1)) return;
    if (depth == path.size()) path.emplace_back();
    Node& node = path[depth];
    machine.save(node.state);
    if (limits.recognise && !seen.insert(hash(node.state)).second) return;
    ++result.states;
    machine.choices(node.choices);
    if (!node.choices.empty()) {
      node.next = 0;
      ++depth;
      return;
    }
    ++result.ends;
    if (machine.someone_waits()) result.broken |= 1u << static_cast<int>(Broken::never_returns);
    at_end(w);
  };

  arrive();
  std::size_t in_place = depth;  // path[in_place - 1] is the machine's state; 0: none
  while (depth > 0) {
    Node& node = path[depth - 1];
    if (node.next == node.choices.size()) {
      --depth;
      continue;
    }
    if (result.states >= limits.states) return result;
    if (keep_going && (++result.steps & 0xfff) == 0 && !keep_going(result.states)) return result;
    if (in_place != depth) machine.restore(node.state);
    machine.resume(node.choices[node.next++]);
    const std::size_t before = depth;
    arrive();
    in_place = depth > before ? depth : 0;
  }
  result.complete = !(result.broken >> static_cast<int>(Broken::tables_full) & 1);
  return result;
}

}  // namespace faultline::ref
