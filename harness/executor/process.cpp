#include "harness/executor/process.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "harness/executor/access.h"
#include "harness/executor/disturbed.h"
#include "harness/executor/huge_pages.h"
#include "harness/executor/look.h"
#include "harness/executor/memory_need.h"
#include "harness/executor/turns.h"
#include "harness/executor/value.h"
#include "harness/in_child.h"
#include "harness/queries.h"

namespace faultline {
namespace {

constexpr int failed_to_set_up = 98;

[[noreturn]] void give_up(ProcessContext& context, const char* what, int code) {
  report_bench_error(context.area, what, context.process, -1, code);
  _exit(failed_to_set_up);
}

// Arguments of a new thread. They lie on the leader's stack frame, which never returns.
struct ThreadStart {
  ProcessContext* context = nullptr;
  int thread = -1;
  int creator = -1;  // the thread whose placement it inherits
};

// Places a new thread. It inherited the placement of its creator, so a system call is needed only if that is wrong.
void replace_thread(const ProcessContext& context, int thread, int creator) {
  if (context.area.cpus[thread].load() != context.area.cpus[creator].load()) place_thread(context, thread);
}

void* worker_of_root(void* argument) {
  const ThreadStart start = *static_cast<ThreadStart*>(argument);
  ProcessContext& context = *start.context;
  Area& area = context.area;
  enter_guarded_thread(context.process, start.thread);
  area.threads[start.thread].tid.store(gettid());
  std::uint32_t placed = 0;
  for (std::uint32_t round = 0;;) {
    if (!await_calmly(
            area, area.round, [&] { return area.round.get() != round; }, context.oversubscribed))
      _exit(0);
    round = area.round.get();
    if (placed != area.placement.load()) {
      placed = area.placement.load();
      place_thread(context, start.thread);
    }
    if (!await(
            area, area.started, [&] { return area.started.get() == round; }, context.oversubscribed))
      _exit(0);
    run_statements(context, start.thread, area.start_ns.load());
  }
}

void* worker_of_child(void* argument) {
  const ThreadStart start = *static_cast<ThreadStart*>(argument);
  ProcessContext& context = *start.context;
  enter_guarded_thread(context.process, start.thread);
  context.area.threads[start.thread].tid.store(gettid());
  replace_thread(context, start.thread, start.creator);
  run_statements(context, start.thread, context.area.processes[context.process].origin_ns.load());
  leave_guarded_thread();
  return nullptr;
}

// Starts every thread of the process but the leader's.
void start_workers(ProcessContext& context, std::array<ThreadStart, limits::threads>& starts, void* (*body)(void*)) {
  const std::vector<int>& threads = context.layout.threads_of[context.process];
  if (threads.size() < 2) return;
  constexpr std::size_t stack_bytes = 512 * 1024;  // thread-local storage included
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_bytes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  for (std::size_t i = 1; i < threads.size(); ++i) {
    starts[i] = {&context, threads[i], threads[0]};
    pthread_t thread;
    const int error = pthread_create(&thread, &attributes, body, &starts[i]);
    if (error != 0) give_up(context, "pthread_create failed", error);
  }
  pthread_attr_destroy(&attributes);
}

void at(ProcessContext& context, Step step) {
  context.area.processes[context.process].step.store(static_cast<std::uint32_t>(step), std::memory_order_relaxed);
}

void open_userfault(ProcessContext& context) {
  if (const char* failure = context.userfault.prepare(context.program, context.process)) give_up(context, failure, errno);
}

void open_devices(ProcessContext& context) {
  at(context, Step::opening);
  for (int device : context.layout.opens[context.process]) {
    if (context.handles.is_open(context.process, device)) continue;  // kept from the last iteration
    std::unique_ptr<DeviceHandle> handle = context.target.open(device);
    if (!handle) give_up(context, "cannot open the device", errno);
    if (!context.handles.reserve(context.process, device)) give_up(context, "the device is open already", device);
    context.handles.fill(context.process, device, std::move(handle));
  }
}

// Waits for the forked children of the last iteration, which the runner has killed, so that their teardown has ended. If one
// does not die, the runner's deadline passes.
void reap_children(const ProcessContext& context) {
  while (context.layout.has_children && (waitpid(-1, nullptr, __WALL) > 0 || errno == EINTR)) {}
}

void map_region(ProcessContext& context, int index) {
  const Region& region = context.program.regions[index];
  const PageRange all{index, 0, region.pages};
  const Protection writable = region.initial ? Protection{true, true} : region.protection;
  if (!map_fixed(context, all, region.backing, writable, region.file)) give_up(context, "cannot map a region", errno);
  if (!region.initial) return;
  const std::uint64_t iteration = context.area.iteration.load();
  for (int page = 0; page < region.pages; ++page)
    cpu_store(context.layout.address_of(Cell{index, page}),
              encode_word(iteration, context.layout.spans.of(Cell{index, page}), *region.initial));
  const int protection = (region.protection.read ? PROT_READ : 0) | (region.protection.write ? PROT_WRITE : 0);
  if (writable != region.protection &&
      mprotect(reinterpret_cast<void*>(context.layout.address_of(all)), bytes_of(all), protection) != 0)
    give_up(context, "cannot protect a region", errno);
}

// Allocates a buffer for one iteration, notes the address that the driver chose, and writes the initial value. USM of the
// device gets its value by copies.
void allocate_buffer(ProcessContext& context, Layout& layout, int index) {
  const Region& region = context.program.regions[index];
  const Handles::Use device(context.handles, context.process, 0);
  Svm& svm = *device->svm();
  const std::size_t bytes = region.pages * page_bytes;
  void* const buffer = svm.allocate(bytes, region.backing);
  if (!buffer) give_up(context, "cannot allocate a buffer", errno);
  layout.region_address[index] = reinterpret_cast<std::uintptr_t>(buffer);
  const bool handed_over = is_handed_over(region.backing);
  if (handed_over && svm.map(layout.region_address[index], bytes, {false, true}) != 0)
    give_up(context, "cannot map a buffer", errno);
  for (int page = 0; page < region.pages; ++page) {
    const std::uintptr_t address = layout.address_of(Cell{index, page});
    const std::uint64_t word = encode_word(context.area.iteration.load(), layout.spans.of(Cell{index, page}), *region.initial);
    if (region.backing != Backing::usm_device) cpu_store(address, word);
    else if (const int error = svm.copy(address, reinterpret_cast<std::uintptr_t>(&word), sizeof word))
      give_up(context, "cannot copy to a buffer", error);
  }
  if (handed_over && svm.unmap(layout.region_address[index]) != 0) give_up(context, "cannot unmap a buffer", errno);
}

template <typename Visit>
void each_buffer(const ProcessContext& context, Visit visit) {
  for (int region = 0; region < static_cast<int>(context.program.regions.size()); ++region)
    if (context.program.regions[region].owner == context.process && is_buffer(context.program.regions[region].backing))
      visit(region);
}

void free_buffers(ProcessContext& context) {
  each_buffer(context, [&](int region) {
    const Handles::Use device(context.handles, context.process, 0);
    if (device) device->svm()->free(reinterpret_cast<void*>(context.layout.region_address[region]));
  });
}

// Closes devices before it unmaps regions: munmap() under an open device would call interval notifiers that no statement
// asked for. Devices that can be kept are closed only if they shall be `fresh`.
void set_up(ProcessContext& context, Layout& layout, bool fresh) {
  at(context, Step::reaping);
  reap_children(context);
  at(context, Step::freeing);
  free_buffers(context);
  at(context, Step::closing);
  context.userfault.close();
  if (fresh) context.handles.close_all();
  else context.handles.close_all(context.process, context.layout.opens[context.process]);
  at(context, Step::unmapping);
  munmap(reinterpret_cast<void*>(regions_base), context.layout.regions_bytes());
  const bool huge = may_have_huge_pages(context.program);
  if (const int error = fresh || huge ? forbid_huge_pages() : 0) give_up(context, "cannot forbid huge pages", error);
  at(context, Step::files);
  if (const char* failure = context.files.prepare(context.program, context.process)) give_up(context, failure, errno);
  const std::uint64_t iteration = context.area.iteration.load();
  if (const char* failure = context.direct_file.prepare(context.program, context.layout, context.process, iteration))
    give_up(context, failure, errno);
  at(context, Step::mapping);
  for (int region = 0; region < static_cast<int>(context.program.regions.size()); ++region)
    if (context.program.regions[region].owner == context.process && context.program.regions[region].backing != Backing::none &&
        !is_buffer(context.program.regions[region].backing))
      map_region(context, region);
  if (huge)
    if (const int error = allow_advised_huge_pages()) give_up(context, "cannot allow huge pages", error);
  open_userfault(context);
  open_devices(context);
  at(context, Step::allocating);
  each_buffer(context, [&](int region) { allocate_buffer(context, layout, region); });
  at(context, Step::ready);
}

// The last root to become ready sets the time at which all threads start.
void say_ready(ProcessContext& context, std::uint32_t round) {
  constexpr std::int64_t margin_ns = 3'000;
  Area& area = context.area;
  const auto roots = static_cast<std::uint32_t>(
      std::ranges::count_if(context.program.processes, [](const Process& process) { return process.parent < 0; }));
  if (area.ready.fetch_add(1) + 1 != roots) return;
  area.start_ns.store(now_ns() + margin_ns);
  area.started.set(round);
  // Of a further turn (turns.h) the workers hear only now. Waiting through its set-up, on a CPU that the leader may need, they would
  // only delay it. If they have one of their own, they still spin for the round, as that helped the last time.
  if (area.round.get() != round) area.round.set(round);
}

SeenResult observed(ProcessContext& context, Cell cell) {
  const std::uintptr_t address = context.layout.address_of(cell);
  const Backing backing = context.program.regions[cell.region].backing;
  if (!is_handed_over(backing) && backing != Backing::usm_device) return load_result(address);
  const Handles::Use device(context.handles, context.process, 0);
  SeenResult result;
  if (backing == Backing::usm_device) {
    result.code =
        device ? device->svm()->copy(reinterpret_cast<std::uintptr_t>(&result.word), address, sizeof result.word) : EBADF;
    if (result.code == 0) result.kind = SeenResult::Kind::word;
    return result;
  }
  result.code = device ? device->svm()->map(address, sizeof(std::uint64_t), {true, false}) : EBADF;
  if (result.code != 0) return result;
  result = load_result(address);
  if (const int error = device->svm()->unmap(address))
    report_bench_error(context.area, "cannot unmap a buffer", context.process, -1, error);
  return result;
}

// No load may wait for a userfault that nobody resolves any more. Loads the last pages first: a load may map a whole huge page,
// beyond the end of the file too, and a later load from there would then find zeroes.
void answer_observes(ProcessContext& context) {
  context.userfault.close();
  Area& area = context.area;
  const std::vector<Observe>& observes = context.program.observes;
  std::vector<std::size_t> own;
  for (std::size_t i = 0; i < observes.size(); ++i)
    if (observes[i].kind == Observe::Kind::value && observes[i].process == context.process) own.push_back(i);
  std::ranges::stable_sort(own, std::ranges::greater{}, [&](std::size_t i) { return observes[i].cell.page; });
  for (const std::size_t i : own) {
    area.readings[i].result = observed(context, observes[i].cell);
    area.readings[i].done.store(1, std::memory_order_release);
  }
}

// Waits for the next command and returns it. `seen` is the count of the last command that was obeyed.
Command next_command(ProcessContext& context, std::uint32_t& seen) {
  Area& area = context.area;
  ProcessRecord& record = area.processes[context.process];
  if (!await_calmly(
          area, record.command, [&] { return record.command.get() != seen; }, context.oversubscribed))
    _exit(0);
  seen = record.command.get();
  return static_cast<Command>(area.command.load());
}

void say_answered(ProcessContext& context, std::uint32_t seen) {
  at(context, Step::none);
  context.area.processes[context.process].answered.store(seen, std::memory_order_release);
  context.area.finished.bump();
}

void answer(ProcessContext& context, std::uint32_t seen) {
  const bool look = context.area.command.load() == static_cast<std::uint32_t>(Command::look);
  at(context, look ? Step::looking : Step::observing);
  if (look) answer_looks(context);
  else answer_observes(context);
  say_answered(context, seen);
}

// Where the runner does not ask: waits until all threads of the scenario are done, and answers. `seen` is the count of commands.
void answer_unasked(ProcessContext& context, std::uint32_t round, std::uint32_t seen) {
  const bool forked = context.program.processes[context.process].parent >= 0;
  const bool leads = !forked && unattended(context);
  const bool answers = leads || context.layout.has_values[context.process];
  const bool ends = forked && ends_by_itself(context, context.process);
  if (!context.unasked || (!answers && !ends)) return;
  Area& area = context.area;
  if (!await_calmly(
          area, area.over, [&] { return area.over.get() == round; }, context.oversubscribed))
    _exit(0);
  if (answers) {
    at(context, Step::observing);
    answer_observes(context);
    if (!leads) say_answered(context, seen);
  }
  if (ends) _exit(0);
}

// Sets RLIMIT_STACK to stack_limit, for the stacks of the scenario.
void limit_stack(ProcessContext& context) {
  rlimit limit{};
  if (getrlimit(RLIMIT_STACK, &limit) != 0) give_up(context, "no RLIMIT_STACK", errno);
  if (limit.rlim_max < stack_limit) give_up(context, "RLIMIT_STACK is below 8 MiB", 0);
  limit.rlim_cur = stack_limit;
  if (setrlimit(RLIMIT_STACK, &limit) != 0) give_up(context, "cannot set RLIMIT_STACK", errno);
}

// The addresses of the regions must be free, because set_up() unmaps everything there.
void check_addresses(ProcessContext& context) {
  void* const where = reinterpret_cast<void*>(regions_base);
  const std::size_t bytes = context.layout.regions_bytes();
  if (mmap(where, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != where)
    give_up(context, "the regions' addresses are taken", errno);
  munmap(where, bytes);
}

// One iteration of a root's leader. `batch` is the count of placements at the last one, `seen` that of commands.
void iterate(ProcessContext& context, Layout& layout, std::uint32_t& batch, std::uint32_t round, std::uint32_t seen) {
  Area& area = context.area;
  const std::vector<int>& threads = context.layout.threads_of[context.process];
  const int thread = threads.empty() ? -1 : threads.front();
  const bool new_batch = batch != area.placement.load();
  batch = area.placement.load();
  if (new_batch && thread >= 0) place_thread(context, thread);
  // A batch does not depend on the one before it, and each tries how the driver closes the device.
  set_up(context, layout, new_batch);
  say_ready(context, round);
  if (thread >= 0) {
    if (!await(
            area, area.started, [&] { return area.started.get() == round; }, context.oversubscribed))
      _exit(0);
    at(context, Step::none);
    run_statements(context, thread, area.start_ns.load());
  }
  answer_unasked(context, round, seen);
}

}  // namespace

[[noreturn]] void live_as_root(const ProcessContext& prototype, int process) {
  Layout layout = prototype.layout;
  ProcessContext context{prototype.program,
                         layout,
                         prototype.target,
                         prototype.area,
                         prototype.cpus,
                         prototype.oversubscribed,
                         prototype.crowded,
                         prototype.faults_end_process,
                         prototype.unasked,
                         process,
                         {}};
  Area& area = context.area;
  die_with(area.runner_pid.load());
  be_first_for_oom_killer();
  install_access_guard(area, regions_base, context.layout.regions_bytes(), context.faults_end_process);
  const std::vector<int>& threads = context.layout.threads_of[process];
  const int thread = threads.empty() ? -1 : threads.front();
  bear_signals();
  enter_guarded_thread(process, thread);
  if (thread >= 0) area.threads[thread].tid.store(gettid());
  check_addresses(context);
  if (context.layout.has_stacks) limit_stack(context);
  std::array<ThreadStart, limits::threads> starts{};
  start_workers(context, starts, worker_of_root);
  std::uint32_t round = 0;
  std::uint32_t batch = 0;  // the count of placements, which are drawn for each batch
  for (std::uint32_t seen = 0;;) {
    switch (next_command(context, seen)) {
      case Command::none: break;
      case Command::leave: _exit(0);
      case Command::look:
      case Command::observe: answer(context, seen); break;
      case Command::iterate:
        round = area.round.get();
        do iterate(context, layout, batch, round++, seen);
        while (unattended(context) && next_turn(context));
        if (unattended(context)) say_answered(context, seen);
        break;
    }
  }
}

// Runs after fork() in a multi-threaded process. The C library has repaired its own locks. The executor uses atomics, and
// only Handles has counts of threads that do not exist in the child.
[[noreturn]] void live_as_child(ProcessContext& context, int process, std::uint32_t round) {
  Area& area = context.area;
  ProcessRecord& record = area.processes[process];
  // Read this before `life` becomes `born`. From then on the runner may find that all threads are done, and send a command.
  std::uint32_t seen = record.command.get();
  record.pid.store(getpid());
  record.life.store(static_cast<std::uint32_t>(Life::born));
  context.process = process;
  context.handles.after_fork();
  const std::vector<int>& threads = context.layout.threads_of[process];
  const int thread = threads.empty() ? -1 : threads.front();
  enter_guarded_thread(process, thread);
  open_userfault(context);
  open_devices(context);
  at(context, Step::none);
  record.origin_ns.store(now_ns());
  std::array<ThreadStart, limits::threads> starts{};
  start_workers(context, starts, worker_of_child);
  if (thread >= 0) {
    area.threads[thread].tid.store(gettid());
    replace_thread(context, thread, context.layout.forker[process]);
    run_statements(context, thread, record.origin_ns.load());
  }
  answer_unasked(context, round, seen);
  for (;;) {
    const Command command = next_command(context, seen);
    if (command == Command::look || command == Command::observe) answer(context, seen);
  }
}

}  // namespace faultline
