#include "kernels_ref/engine/explorer.h"

#include <tsl/robin_set.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace faultline::ref {

namespace {

struct HashOfHash {
  std::size_t operator()(const Hash128& h) const { return h.low; }
};

// The states seen, in parts so that workers seldom wait for each other.
class Seen {
 public:
  bool insert(const Hash128& h) {
    Part& part = parts_[h.high % parts_.size()];
    const std::lock_guard lock(part.mutex);
    return part.set.insert(h).second;
  }

 private:
  struct alignas(64) Part {
    std::mutex mutex;
    tsl::robin_set<Hash128, HashOfHash> set;
  };
  std::array<Part, 64> parts_;
};

// An untried branch: the choices from the start to some state, and the untried choices in that state.
struct Branch {
  std::vector<Choice> path;
  std::vector<Choice> choices;
};

// What the workers share.
struct Search {
  const Subject& subject;
  const Limits& limits;
  const std::function<void(const void*, bool)>& at_end;
  Seen seen;
  std::atomic<std::uint64_t> states = 0;
  std::atomic<std::uint64_t> ends = 0;
  std::atomic<std::uint64_t> deepest = 0;
  std::atomic<bool> stop = false;
  std::atomic<int> hungry = 0;  // workers that wait for a branch
  std::mutex end_mutex;
  std::mutex mutex;
  std::condition_variable more;
  std::vector<Branch> branches;
  int working = 0;

  std::optional<Branch> next_branch() {
    std::unique_lock lock(mutex);
    --working;
    ++hungry;
    more.wait(lock, [this] { return stop || !branches.empty() || working == 0; });
    --hungry;
    if (stop || branches.empty()) {
      more.notify_all();
      return std::nullopt;
    }
    Branch branch = std::move(branches.back());
    branches.pop_back();
    ++working;
    return branch;
  }

  void give(Branch branch) {
    const std::lock_guard lock(mutex);
    branches.push_back(std::move(branch));
    more.notify_one();
  }

  void end_now() {
    const std::lock_guard lock(mutex);
    stop = true;
    more.notify_all();
  }
};

struct Node {
  std::vector<Choice> choices;
  std::size_t next = 0;
  Choice taken;  // the choice under way, and what takes it back
  Undo undo;
};

class Worker {
 public:
  explicit Worker(Search& search) : search_(search), machine_(search.subject) { machine_.save_all(start_); }

  // From the start state, which only one worker takes.
  void begin() {
    if (arrive()) walk();
  }

  void go_on(const Branch& branch) {
    machine_.restore_all(start_);
    for (const Choice& choice : branch.path) {
      machine_.resume(choice);
      search_.subject.arrive(machine_.world());
    }
    root_ = branch.path;
    Node& node = push();
    node.choices = branch.choices;
    walk();
  }

  // Asked by the worker of the calling thread.
  std::function<bool(std::uint64_t)> keep_going;

 private:
  Node& push() {
    if (depth_ == path_.size()) path_.emplace_back();
    Node& node = path_[depth_++];
    node.next = 0;
    std::uint64_t deepest = search_.deepest;
    const std::uint64_t here = root_.size() + depth_;
    while (here > deepest && !search_.deepest.compare_exchange_weak(deepest, here)) {}
    return node;
  }

  // Takes in the machine's present state; true: it is new, and its choices were pushed.
  bool arrive() {
    if (!search_.subject.arrive(machine_.world())) return false;
    if (search_.limits.recognise && !search_.seen.insert(machine_.hash())) return false;
    ++search_.states;
    machine_.choices(choices_);
    if (!choices_.empty()) {
      push().choices.swap(choices_);
      return true;
    }
    ++search_.ends;
    const std::lock_guard lock(search_.end_mutex);
    search_.at_end(machine_.world(), machine_.someone_waits());
    return false;
  }

  void walk() {
    for (std::uint64_t steps = 0; depth_ > 0; ++steps) {
      if (search_.stop) return;
      if (search_.states >= search_.limits.states || (keep_going && steps % 4096 == 4095 && !keep_going(search_.states)))
        return search_.end_now();
      if (search_.hungry > 0 && steps % 64 == 63) share();
      Node& node = path_[depth_ - 1];
      if (node.next == node.choices.size()) {
        --depth_;
        if (depth_ > 0) take_back();
        continue;
      }
      node.taken = node.choices[node.next++];
      machine_.save(node.taken.thread, node.undo);
      machine_.resume(node.taken);
      if (!arrive()) take_back();
    }
  }

  void take_back() {
    const Node& node = path_[depth_ - 1];
    machine_.undo(node.taken.thread, node.undo);
  }

  // Gives the shallowest node's untried choices away.
  void share() {
    std::vector<Choice> path = root_;
    for (std::size_t d = 0; d < depth_; ++d) {
      Node& node = path_[d];
      if (node.next < node.choices.size()) {
        search_.give({path, {node.choices.begin() + static_cast<std::ptrdiff_t>(node.next), node.choices.end()}});
        node.choices.resize(node.next);
        return;
      }
      path.push_back(node.taken);
    }
  }

  Search& search_;
  Machine machine_;
  std::vector<std::byte> start_;
  std::vector<Choice> root_;  // the choices from the start to the first node of path_
  std::vector<Node> path_;    // grows and keeps its buffers; depth_ of them are in use
  std::size_t depth_ = 0;
  std::vector<Choice> choices_;
};

void help(Search& search) {
  Worker worker(search);
  while (const auto branch = search.next_branch()) worker.go_on(*branch);
}

}  // namespace

Exploration explore(const Subject& subject, const Limits& limits, const std::function<void(const void*, bool)>& at_end,
                    const std::function<bool(std::uint64_t)>& keep_going) {
  // Below this many states another worker costs more than it brings.
  constexpr std::uint64_t worth_sharing = 20'000;
  Search search{.subject = subject, .limits = limits, .at_end = at_end};
  int wanted = limits.workers > 0 ? limits.workers : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  if (!limits.recognise) wanted = 1;
  std::vector<std::jthread> helpers;
  search.working = 1;
  Worker worker(search);
  worker.keep_going = [&](std::uint64_t states) {
    if (states > worth_sharing && helpers.empty()) {
      {
        const std::lock_guard lock(search.mutex);
        search.working += wanted - 1;
      }
      for (int i = 1; i < wanted; ++i) helpers.emplace_back([&search] { help(search); });
    }
    return !keep_going || keep_going(states);
  };
  worker.begin();
  while (const auto branch = search.next_branch()) worker.go_on(*branch);
  helpers.clear();
  return {.complete = !search.stop, .states = search.states, .ends = search.ends, .deepest = search.deepest};
}

}  // namespace faultline::ref
