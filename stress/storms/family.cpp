#include "stress/storms/family.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "harness/executor/access.h"
#include "harness/in_child.h"
#include "harness/shared.h"
#include "stress/storms/memory.h"
#include "stress/storms/random.h"

namespace faultline::storms {
namespace {

constexpr int pages = 8;
constexpr int workers = 2;  // of each process; page p is stored to by worker p % workers
constexpr int most_born = 512;

// What a process tells its child, and what its own threads tell its main thread.
struct Member {
  std::array<std::atomic<std::uint64_t>, pages> begun;   // the last value whose store has begun
  std::array<std::atomic<std::uint64_t>, pages> done;    // and the last one whose store has ended
  std::array<std::atomic<std::uint64_t>, pages> newest;  // of its parent, when fork() returned
  std::atomic<bool> told;                                // `newest` is complete
};

struct Tree {  // shared by all its processes
  std::atomic<int> born;
  std::atomic<int> alive;
  std::int64_t end_ns;
  int processes;
  std::array<Member, most_born> members;
};

class Process {
 public:
  Process(int id, std::uint64_t seed, std::uintptr_t base, Tree& tree, Target& target, Board& board)
      : id_(id), random_(seed), base_(base), tree_(tree), target_(target), board_(board), device_(target.open(0)) {
    pins_ = target.capabilities().pin;
    only_pinned_ = target.capabilities().device_class == DeviceClass::pinned;
  }

  bool usable() const { return device_ != nullptr; }
  // `known`: what is in its pages.
  int live(const std::array<std::uint64_t, pages>& known);

 private:
  Member& self() const { return tree_.members[id_]; }
  bool over() const {
    return ended_.load(std::memory_order_relaxed) || now_ns() >= tree_.end_ns || board_.stop.load(std::memory_order_relaxed);
  }
  std::uintptr_t address(int page) const { return base_ + page * page_size; }
  void work(int worker, std::uint64_t seed);
  void store(int page, Random& random, bool pinned);
  void check(int page, bool by_device, const char* when);
  void pin_or_unpin(int page, bool& pinned);
  void fork_child();
  [[noreturn]] void be_child(int id, std::uint64_t seed, const std::array<std::uint64_t, pages>& least, pid_t parent);
  template <typename Access>
  DeviceAccess device_access(Access access);

  const int id_;
  Random random_;
  const std::uintptr_t base_;
  Tree& tree_;
  Target& target_;
  Board& board_;
  const std::unique_ptr<DeviceHandle> device_;
  bool pins_ = false;
  bool only_pinned_ = false;                // the device reaches pinned pages only
  std::array<std::uint64_t, pages> known_;  // each is used by its page's worker, and by the main thread when that has ended
  std::atomic<bool> ended_{false};
  std::atomic<std::uint32_t> forks_{0};
  std::array<std::uint32_t, pages> stored_at_{};  // the number of forks at the last store by the CPU
};

template <typename Access>
DeviceAccess Process::device_access(Access access) {
  DeviceAccess result;
  for (;;) {
    {
      const Outstanding outstanding(board_);
      result = access();
    }
    board_.add(Count::accesses);
    if (result.faulted) board_.add(Count::faulted);
    // The driver gives up after a second in which others changed the mapping.
    if (result.error != EBUSY && result.error != ENOMEM) return result;
    board_.add(Count::refused);
    if (over()) return result;
  }
}

void Process::check(int page, bool by_device, const char* when) {
  std::uint64_t seen = 0;
  if (by_device) {
    const DeviceAccess access = device_access([&] { return device_->load(address(page)); });
    if (access.error == EBUSY || access.error == ENOMEM) return;
    if (access.error != 0) return board_.say_wrong("a device load of page %d fails (%s): %s", page, when, strerror(access.error));
    seen = access.value;
  } else {
    seen = cpu_load(address(page));
    board_.add(Count::cpu);
  }
  board_.add(Count::checks);
  if (seen != known_[page])
    board_.say_wrong("process %d, page %d, %s: the %s sees %llx, and %llx is what it or its parent stored last", id_, page, when,
                     by_device ? "device" : "CPU", static_cast<unsigned long long>(seen),
                     static_cast<unsigned long long>(known_[page]));
}

void Process::store(int page, Random& random, bool pinned) {
  const std::uint64_t count = known_[page] >> 32 == static_cast<std::uint64_t>(id_) + 1 ? (known_[page] & UINT32_MAX) + 1 : 1;
  const std::uint64_t value = (static_cast<std::uint64_t>(id_) + 1) << 32 | count;
  self().begun[page].store(value);
  const bool by_device = random.one_in(2) && (pinned || !only_pinned_);
  if (by_device) {
    const DeviceAccess access = device_access([&] { return device_->store(address(page), value); });
    if (access.error == EBUSY || access.error == ENOMEM) return;
    if (access.error != 0) return board_.say_wrong("a device store to page %d fails: %s", page, strerror(access.error));
  } else {
    const std::uint32_t forks = forks_.load();
    const int queue = board_.outstanding.load(std::memory_order_relaxed);
    const std::int64_t start = now_ns();
    cpu_store(address(page), value);
    // The first one after a fork breaks COW.
    if (forks != stored_at_[page]) board_.note(Call::cow_store, queue, now_ns() - start);
    stored_at_[page] = forks;
    board_.add(Count::cpu);
  }
  known_[page] = value;
  self().done[page].store(value);
}

void Process::pin_or_unpin(int page, bool& pinned) {
  if (pinned) {
    device_->unpin(address(page), 1);
    pinned = false;
  } else if (device_->pin(address(page), 1, false) == 0) {
    pinned = true;
    board_.add(Count::pins);
  } else {
    board_.add(Count::refused);  // too much locked memory, for one
  }
}

void Process::work(int worker, std::uint64_t seed) {
  enter_guarded_thread(0, -1);
  Random random(seed);
  std::array<bool, pages> pinned{};
  while (!over()) {
    const int page = worker + workers * random.below(pages / workers);
    if (pins_ && random.one_in(8)) pin_or_unpin(page, pinned[page]);
    if (random.one_in(2)) check(page, random.one_in(2) && (pinned[page] || !only_pinned_), "between its own stores");
    else store(page, random, pinned[page]);
  }
  leave_guarded_thread();
}

void Process::be_child(int id, std::uint64_t seed, const std::array<std::uint64_t, pages>& least, pid_t parent) {
  die_with(parent);
  enter_guarded_thread(0, -1);
  const Member& own = tree_.members[id];
  while (!own.told.load()) usleep(100);
  std::array<std::uint64_t, pages> known{};
  for (int page = 0; page < pages; ++page) {
    known[page] = cpu_load(address(page));
    board_.add(Count::checks);
    if (!may_inherit(known[page], least[page], own.newest[page].load()))
      board_.say_wrong(
          "process %d, page %d: it inherited %llx; its parent had stored %llx before fork(), and began no later "
          "store than %llx before fork() returned",
          id, page, static_cast<unsigned long long>(known[page]), static_cast<unsigned long long>(least[page]),
          static_cast<unsigned long long>(own.newest[page].load()));
  }
  // Not destroyed: it would close its parent's device, and join its parent's threads.
  Process* const child = new Process(id, seed, base_, tree_, target_, board_);
  const int status = child->usable() ? child->live(known) : 0;
  tree_.alive.fetch_sub(1);
  _exit(status);
}

void Process::fork_child() {
  if (tree_.alive.fetch_add(1) >= tree_.processes) {
    tree_.alive.fetch_sub(1);
    return;
  }
  const int id = tree_.born.fetch_add(1);
  if (id >= most_born) {
    tree_.alive.fetch_sub(1);
    return;
  }
  const std::uint64_t seed = random_.seed();
  const pid_t parent = getpid();
  std::array<std::uint64_t, pages> least{};
  for (int page = 0; page < pages; ++page) least[page] = self().done[page].load();
  const int queue = board_.outstanding.load(std::memory_order_relaxed);
  const std::int64_t start = now_ns();
  const pid_t child = fork();
  if (child == 0) be_child(id, seed, least, parent);
  board_.note(Call::fork, queue, now_ns() - start);
  if (child < 0) {
    tree_.alive.fetch_sub(1);
    return;
  }
  for (int page = 0; page < pages; ++page) tree_.members[id].newest[page].store(self().begun[page].load());
  tree_.members[id].told.store(true);
  forks_.fetch_add(1);
  board_.add(Count::processes);
}

int Process::live(const std::array<std::uint64_t, pages>& known) {
  known_ = known;
  for (int page = 0; page < pages; ++page) {
    self().begun[page].store(known[page]);
    self().done[page].store(known[page]);
    check(page, false, "after its birth");
    if (!only_pinned_) check(page, true, "after its birth");
  }
  std::vector<std::thread> threads;
  for (int worker = 0; worker < workers; ++worker)
    threads.emplace_back([this, worker, seed = random_.seed()] { work(worker, seed); });
  while (!over()) {
    fork_child();
    const std::int64_t pause_us = random_.log_uniform(100, 20'000);
    usleep(static_cast<useconds_t>(pause_us));
    while (waitpid(-1, nullptr, WNOHANG) > 0) {}
    // Not all live to the end: a child may outlive its siblings, and its parent's pages be its own again.
    if (id_ != 0 && random_.one_in(16)) break;
  }
  ended_ = true;
  for (std::thread& thread : threads) thread.join();
  for (int page = 0; page < pages; ++page) check(page, false, "when its threads had ended");
  while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {}
  for (int page = 0; page < pages; ++page) {
    check(page, false, "when its children had ended");
    if (!only_pinned_) check(page, true, "when its children had ended");
  }
  return 0;
}

}  // namespace

void be_family(const FamilyPlan& plan, Target& target, Board& board) {
  const SharedArea area;
  install_access_guard(*area, 0, 0, false);
  enter_guarded_thread(0, -1);
  const Shared<Tree> shared;
  const std::uintptr_t base = reserve(pages * page_size);
  if (base == 0 || !map_pages(base, pages * page_size, MAP_FIXED)) _exit(cannot_start);
  Tree& tree = *shared;
  tree.born = tree.alive = 1;
  tree.processes = plan.processes;
  tree.end_ns = now_ns() + plan.work_ns;
  Process* const root = new Process(0, plan.seed, base, tree, target, board);
  if (!root->usable()) _exit(cannot_start);
  _exit(root->live({}));
}

}  // namespace faultline::storms
