#include "stress/storms/victim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "harness/executor/access.h"
#include "harness/in_child.h"
#include "stress/storms/memory.h"
#include "stress/storms/page.h"
#include "stress/storms/random.h"

namespace faultline::storms {
namespace {

constexpr int pages_of_migrator = 4;
constexpr int most_migrators = 8;
constexpr int checked_by_child = 32;  // pages, at most
constexpr int less_urgent = 10;       // nice

std::vector<int> open_descriptors() {
  std::vector<int> open;
  for (int fd = 0; fd < 1024; ++fd)
    if (fcntl(fd, F_GETFD) >= 0) open.push_back(fd);
  return open;
}

// A driver may take its time: what came with the device is told apart by what was there before.
std::vector<int> opened_since(const std::vector<int>& before) {
  std::vector<int> fds;
  std::ranges::set_difference(open_descriptors(), before, std::back_inserter(fds));
  return fds;
}

class Victim {
 public:
  Victim(const VictimPlan& plan, Target& target, Board& board) : plan_(plan), board_(board), random_(plan.seed) {
    const std::vector<int> before = open_descriptors();
    device_ = target.open(0);
    fds_ = opened_since(before);
    const bool migrates = target.capabilities().migrate;
    migrators_ = migrates ? std::clamp(plan.threads / 8, plan.threads > 1 ? 1 : 0, most_migrators) : 0;
    users_ = plan.threads - migrators_;
    pages_ = std::vector<PageState>(static_cast<std::size_t>(users_));
    base_ = reserve(users_ * page_size);
    usable_ = device_ && base_ != 0 && map_pages(base_, users_ * page_size, MAP_FIXED);
  }

  int run();

 private:
  std::uintptr_t address(int page) const { return base_ + page * page_size; }
  void wait_for_all();
  void use_page(int thread);
  void migrate_pages(int thread);
  bool bring_back(std::uintptr_t base, std::uint64_t value);
  std::uint64_t migrate_once(Random& random, std::uintptr_t base, std::uint64_t value);
  void change_mapping();
  void drop(int first, int count, bool unmap);
  void protect(int first, int count, int protection, Rights rights);
  void fork_child();
  [[noreturn]] void be_child(std::uint32_t number, pid_t parent);
  void begin_ending();
  [[noreturn]] void close_device();

  template <typename Action>
  void timed(Call call, Action action) {
    const int queue = board_.outstanding.load(std::memory_order_relaxed);
    const std::int64_t start = now_ns();
    action();
    board_.note(call, queue, now_ns() - start);
  }
  template <typename Access>
  int device_access(Access access);

  const VictimPlan plan_;
  Board& board_;
  Random random_;
  std::unique_ptr<DeviceHandle> device_;
  std::vector<int> fds_;  // that opening the device has added
  int users_ = 0, migrators_ = 0;
  std::vector<PageState> pages_;
  std::uintptr_t base_ = 0;
  bool usable_ = false;
  std::vector<std::thread> threads_;
  std::atomic<bool> all_are_here_{false};
  std::uint32_t forks_ = 0;
};

// Gives an errno; EFAULT for a signal.
template <typename Access>
int Victim::device_access(Access access) {
  DeviceAccess result;
  board_.outstanding.fetch_add(1, std::memory_order_relaxed);
  const int signal = guarded([&] { result = access(); });
  board_.outstanding.fetch_sub(1, std::memory_order_relaxed);
  board_.add(Count::accesses);
  if (signal == 0 && result.faulted) board_.add(Count::faulted);
  return signal != 0 ? EFAULT : result.error;
}

// Threads that were running already would keep the last ones from being started.
void Victim::wait_for_all() {
  board_.ready.fetch_add(1);
  all_are_here_.wait(false);
}

void Victim::use_page(int thread) {
  enter_guarded_thread(0, -1);
  Progress& progress = board_.progress[thread];
  progress.tid.store(gettid());
  wait_for_all();
  Random random(plan_.seed + 1000 + thread);
  PageState& page = pages_[thread];
  PageHistory history;
  const std::uintptr_t at = address(thread);
  std::uint64_t value = (static_cast<std::uint64_t>(thread) + 1) << 32;
  // The main thread, which changes the mapping, is one of many on the same CPUs.
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), less_urgent);
  while (!board_.stop.load(std::memory_order_relaxed)) {
    progress.steps.fetch_add(1, std::memory_order_relaxed);
    if (random.one_in(32)) usleep(static_cast<useconds_t>(random.log_uniform(1, 1000)));
    const bool store = random.one_in(2), by_cpu = random.one_in(4);
    if (store) page.newest.store(++value);
    std::uint64_t seen = 0;
    const Moment before = moment_of(page);
    int error = 0;
    if (by_cpu) {
      board_.add(Count::cpu);
      if (guarded([&] { store ? cpu_store(at, value) : void(seen = cpu_load(at)); }) != 0) error = EFAULT;
    } else {
      error = device_access([&] {
        const DeviceAccess access = store ? device_->store(at, value) : device_->load(at);
        if (!store) seen = access.value;
        return access;
      });
    }
    const Moment after = moment_of(page);
    if (plan_.ending == Ending::close && board_.ends.load()) {
      if (error == EBADF) break;
      continue;
    }
    if (error != 0) board_.add(Count::refused);
    bool exact = false;
    const char* const wrong =
        store ? history.stored(before, after, value, error) : history.loaded(before, after, seen, error, exact);
    if (exact) board_.add(Count::checks);
    if (wrong != nullptr)
      board_.say_wrong("%s: %s of page %d by the %s: error %d, value %llx, last store %llx; drops %u to %u, mapping %u to %u",
                       wrong, store ? "store" : "load", thread, by_cpu ? "CPU" : "device", error,
                       static_cast<unsigned long long>(seen), static_cast<unsigned long long>(value), before.drops_done,
                       after.drops_begun, before.version, after.version);
  }
  leave_guarded_thread();
}

// The CPU's load is what brings a page back, if the device has not given it back before. From then on the device may use it.
bool Victim::bring_back(std::uintptr_t base, std::uint64_t value) {
  for (int i = 0; i < pages_of_migrator; ++i) {
    board_.add(Count::checks);
    const std::uint64_t stored = value + i;
    if (const std::uint64_t seen = cpu_load(base + i * page_size); seen != stored) {
      board_.say_wrong("a page that was migrated holds %llx, not the last store %llx", static_cast<unsigned long long>(seen),
                       static_cast<unsigned long long>(stored));
      return false;
    }
  }
  return true;
}

std::uint64_t Victim::migrate_once(Random& random, std::uintptr_t base, std::uint64_t value) {
  value += pages_of_migrator;
  for (int i = 0; i < pages_of_migrator; ++i) {
    const std::uintptr_t at = base + i * page_size;
    if (random.one_in(2)) cpu_store(at, value + i);
    else if (device_access([&] { return device_->store(at, value + i); }) != 0) cpu_store(at, value + i);
  }
  int refused = 0;
  timed(Call::to_device, [&] { refused = device_->migrate(base, pages_of_migrator, true); });
  if (refused == 0 && random.one_in(2))
    timed(Call::to_system, [&] { refused = device_->migrate(base, pages_of_migrator, false); });
  if (refused != 0) board_.add(Count::refused);
  return bring_back(base, value) ? value : 0;
}

void Victim::migrate_pages(int thread) {
  enter_guarded_thread(0, -1);
  Progress& progress = board_.progress[users_ + thread];
  progress.tid.store(gettid());
  Random random(plan_.seed + 5000 + thread);
  constexpr std::size_t bytes = pages_of_migrator * page_size;
  const std::uintptr_t base = reserve(bytes);
  const bool mapped =
      base != 0 && map_pages(base, bytes, MAP_FIXED) && madvise(reinterpret_cast<void*>(base), bytes, MADV_DONTFORK) == 0;
  wait_for_all();
  std::uint64_t value = 1;
  while (mapped && value != 0 && !board_.stop.load() && !board_.park.load()) {
    progress.steps.fetch_add(1, std::memory_order_relaxed);
    value = migrate_once(random, base, value);
  }
  board_.parked.fetch_add(1);
  leave_guarded_thread();
}

void Victim::drop(int first, int count, bool unmap) {
  void* const start = reinterpret_cast<void*>(address(first));
  const std::size_t bytes = count * page_size;
  for (int i = first; i < first + count; ++i) {
    pages_[i].drops_begun.fetch_add(1);
    if (unmap) pages_[i].version.fetch_add(1);
  }
  if (unmap) {
    timed(Call::unmap, [&] { munmap(start, bytes); });
    for (int i = first; i < first + count; ++i) {
      pages_[i].rights.store(Rights::absent);
      pages_[i].version.fetch_add(1);
    }
    usleep(static_cast<useconds_t>(random_.log_uniform(1, 1000)));
    for (int i = first; i < first + count; ++i) pages_[i].version.fetch_add(1);
    if (!map_pages(address(first), bytes, MAP_FIXED_NOREPLACE)) _exit(cannot_start);
  } else {
    timed(Call::drop, [&] { madvise(start, bytes, MADV_DONTNEED); });
  }
  for (int i = first; i < first + count; ++i) {
    pages_[i].drops_done.fetch_add(1);
    if (!unmap) continue;
    pages_[i].rights.store(Rights::all);
    pages_[i].version.fetch_add(1);
  }
}

void Victim::protect(int first, int count, int protection, Rights rights) {
  void* const start = reinterpret_cast<void*>(address(first));
  const auto change = [&](int to, Rights now) {
    for (int i = first; i < first + count; ++i) pages_[i].version.fetch_add(1);
    timed(Call::protect, [&] { mprotect(start, count * page_size, to); });
    for (int i = first; i < first + count; ++i) {
      pages_[i].rights.store(now);
      pages_[i].version.fetch_add(1);
    }
  };
  change(protection, rights);
  usleep(static_cast<useconds_t>(random_.log_uniform(1, 1000)));
  change(PROT_READ | PROT_WRITE, Rights::all);
}

// Waits until its parent has told what was stored when fork() returned: nothing newer may be here. Allocates nothing, because
// the parent has other threads.
void Victim::be_child(std::uint32_t number, pid_t parent) {
  die_with(parent);
  enter_guarded_thread(0, -1);
  while (board_.forks.load() != number) usleep(100);
  // The second look is later, so that its parent's threads store meanwhile.
  std::array<std::uint64_t, checked_by_child> first{};
  const int checked = std::min(users_, checked_by_child);
  const auto page_of = [&](int i) { return (static_cast<int>(number) + i * users_ / checked) % users_; };
  for (int i = 0; i < checked; ++i) {
    const int page = page_of(i);
    const std::uint64_t seen = first[i] = cpu_load(address(page)), newest = board_.newest[page].load();
    if (seen != 0 && (seen >> 32 != static_cast<std::uint64_t>(page) + 1 || seen > newest))
      board_.say_wrong("a forked child has %llx in page %d; when fork() returned, the newest store was %llx",
                       static_cast<unsigned long long>(seen), page, static_cast<unsigned long long>(newest));
  }
  usleep(static_cast<useconds_t>(random_.log_uniform(1, 10'000)));
  for (int i = 0; i < checked; ++i)
    if (const std::uint64_t again = cpu_load(address(page_of(i))); again != first[i])
      board_.say_wrong("a forked child sees page %d change from %llx to %llx, and nobody in it stores", page_of(i),
                       static_cast<unsigned long long>(first[i]), static_cast<unsigned long long>(again));
  board_.add(Count::checks, static_cast<std::uint64_t>(checked));
  _exit(0);
}

void Victim::fork_child() {
  const std::uint32_t number = ++forks_;
  const pid_t parent = getpid();
  pid_t child = -1;
  // fork() is timed by hand: the child must not note it.
  const int queue = board_.outstanding.load(std::memory_order_relaxed);
  const std::int64_t start = now_ns();
  child = fork();
  if (child == 0) be_child(number, parent);
  board_.note(Call::fork, queue, now_ns() - start);
  if (child < 0) return;
  for (int i = 0; i < users_; ++i) board_.newest[i].store(pages_[i].newest.load());
  board_.forks.store(number);
  board_.add(Count::processes);
  while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {}
}

void Victim::change_mapping() {
  const int count = static_cast<int>(random_.log_uniform(1, users_));
  const int first = random_.below(users_ - count + 1);
  switch (random_.below(6)) {
    case 0:
    case 1: return drop(first, count, true);
    case 2: return drop(first, count, false);
    case 3: return protect(first, count, PROT_READ, Rights::read);
    case 4: return protect(first, count, PROT_NONE, Rights::none);
    default: return fork_child();
  }
}

void Victim::begin_ending() {
  board_.ending_queue.store(board_.outstanding.load());
  board_.ending_ns.store(now_ns());
  board_.ends.store(true);
}

void Victim::close_device() {
  board_.park.store(true);
  while (board_.parked.load() < migrators_) usleep(100);
  begin_ending();
  for (const int fd : fds_) close(fd);
  for (std::thread& thread : threads_) thread.join();
  board_.note(Call::close, board_.ending_queue.load(), now_ns() - board_.ending_ns.load());
  _exit(0);
}

int Victim::run() {
  if (!usable_) return cannot_start;
  enter_guarded_thread(0, -1);
  for (int i = 0; i < users_; ++i) threads_.emplace_back([this, i] { use_page(i); });
  for (int i = 0; i < migrators_; ++i) threads_.emplace_back([this, i] { migrate_pages(i); });
  while (board_.ready.load() < plan_.threads) usleep(1000);
  all_are_here_.store(true);
  all_are_here_.notify_all();
  const std::int64_t end = now_ns() + plan_.work_ns;
  for (int changes = 0; (now_ns() < end || changes < plan_.least_changes) && !board_.stop.load(); ++changes) {
    change_mapping();
    usleep(static_cast<useconds_t>(random_.log_uniform(1, 2000)));
  }
  switch (plan_.ending) {
    case Ending::killed:
      for (board_.ends.store(true); !board_.stop.load();) change_mapping();
      for (;;) pause();
    case Ending::close:
      if (!fds_.empty()) close_device();
      break;  // this device has no descriptor
    case Ending::exec: {
      char name[] = "true";
      char* const words[] = {name, nullptr};
      begin_ending();
      execve("/bin/true", words, words + 1);
      board_.ending_ns.store(0);  // there is no such program: nothing to measure
      return 0;
    }
    case Ending::exit: break;
  }
  begin_ending();
  return 0;
}

}  // namespace

void be_victim(const VictimPlan& plan, Target& target, Board& board) {
  const SharedArea area;
  install_access_guard(*area, 0, 0, false);
  Victim* const victim = new Victim(plan, target, board);  // it ends with the process, while its threads run
  _exit(victim->run());
}

}  // namespace faultline::storms
