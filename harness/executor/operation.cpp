#include "harness/executor/operation.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <span>

#include "harness/executor/access.h"
#include "harness/executor/disturbed.h"
#include "harness/executor/meeting.h"
#include "harness/executor/ordered.h"
#include "harness/executor/page_failure.h"
#include "harness/executor/process.h"
#include "harness/executor/value.h"
#include "harness/queries.h"

namespace faultline {

SeenResult errno_result(int error) {
  SeenResult result;
  result.code = error;
  return result;
}

void record(Slot& slot, const SeenResult& result) {
  slot.result = result;
  slot.done.store(1, std::memory_order_release);
}

namespace {

SeenResult call_result(bool worked) { return errno_result(worked ? 0 : errno); }

SeenResult signal_result(int signal) {
  SeenResult result;
  result.kind = SeenResult::Kind::signal;
  result.code = signal;
  return result;
}

void* pointer(std::uintptr_t address) { return reinterpret_cast<void*>(address); }

int prot_of(Protection protection) { return (protection.read ? PROT_READ : 0) | (protection.write ? PROT_WRITE : 0); }

constexpr int madv_collapse = 25;  // since Linux 6.1; not in older headers

int number_of(op::Advice advice) {
  switch (advice) {
    case op::Advice::dontneed: return MADV_DONTNEED;
    case op::Advice::dontfork: return MADV_DONTFORK;
    case op::Advice::hugepage: return MADV_HUGEPAGE;
    case op::Advice::populate_read: return MADV_POPULATE_READ;
    case op::Advice::populate_write: return MADV_POPULATE_WRITE;
    case op::Advice::wipeonfork: return MADV_WIPEONFORK;
    case op::Advice::keeponfork: return MADV_KEEPONFORK;
    case op::Advice::free: return MADV_FREE;
    case op::Advice::pageout: return MADV_PAGEOUT;
    case op::Advice::remove: return MADV_REMOVE;
    case op::Advice::collapse: return madv_collapse;
  }
  return -1;
}

SeenResult device_result(const ThreadRun& run, int signal, const DeviceAccess& access) {
  if (signal != 0) return signal_result(signal);
  SeenResult result = device_errno(run, access.error);
  result.faults_known = access.error == 0;
  result.faulted = access.faulted;
  return result;
}

// An access through a device. If device faults end the process, the access is not guarded, because a siglongjmp must not
// leave the driver.
template <typename Access>
int device_access(const ProcessContext& context, Access access) {
  if (!context.faults_end_process) return guarded(access);
  access();
  return 0;
}

struct Perform {
  ThreadRun& run;

  ProcessContext& context() const { return run.context; }
  Area& area() const { return run.context.area; }

  SeenResult operator()(const op::Load& load) const {
    const std::uintptr_t address = run.context.layout.address_of(load.cell);
    if (load.via.cpu()) return load_result(address);
    const Handles::Use device(context().handles, load.via.opener, load.via.device);
    if (!device) return errno_result(EBADF);
    DeviceAccess access;
    const int signal = device_access(context(), [&] { access = device->load(address); });
    SeenResult result = device_result(run, signal, access);
    if (signal == 0 && access.error == 0) {
      result.kind = SeenResult::Kind::word;
      result.word = access.value;
    }
    return result;
  }

  SeenResult operator()(const op::Store& store) const {
    const std::uintptr_t address = run.context.layout.address_of(store.cell);
    const std::uint64_t word = encode_word(run.iteration, run.context.layout.spans.of(store.cell), store.value);
    if (store.via.cpu()) {
      const int signal = guarded([&] { cpu_store(address, word); });
      return signal == 0 ? errno_result(0) : signal_result(signal);
    }
    const Handles::Use device(context().handles, store.via.opener, store.via.device);
    if (!device) return errno_result(EBADF);
    DeviceAccess access;
    const int signal = device_access(context(), [&] { access = device->store(address, word); });
    return device_result(run, signal, access);
  }

  SeenResult operator()(const op::Update&) const { throw std::logic_error("an access with an order is run_ordered()'s"); }

  // Requests about buffers.
  template <typename Request>
  SeenResult svm_result(const Via& via, Request request) const {
    const Handles::Use device(context().handles, via.opener, via.device);
    if (!device) return errno_result(EBADF);
    Svm* const svm = device->svm();
    return device_errno(run, svm ? request(*svm) : ENOTSUP);
  }

  SeenResult operator()(const op::SvmMap& map) const {
    return svm_result(map.via,
                      [&](Svm& svm) { return svm.map(context().layout.address_of(map.range), bytes_of(map.range), map.access); });
  }

  SeenResult operator()(const op::SvmUnmap& unmap) const {
    return svm_result(unmap.via, [&](Svm& svm) { return svm.unmap(context().layout.address_of(unmap.range)); });
  }

  SeenResult operator()(const op::SvmCopy& copy) const {
    return svm_result(copy.via, [&](Svm& svm) {
      return svm.copy(context().layout.address_of(copy.to), context().layout.address_of(copy.from), sizeof(std::uint64_t));
    });
  }

  SeenResult operator()(const op::SvmFill& fill) const {
    const std::uint64_t word = encode_word(run.iteration, context().layout.spans.of(fill.cell), fill.value);
    return svm_result(fill.via, [&](Svm& svm) { return svm.fill(context().layout.address_of(fill.cell), word); });
  }

  SeenResult operator()(const op::DirectRead& read) const {
    return errno_result(context().direct_file.read(context().layout.address_of(read.cell), run.slot));
  }

  SeenResult operator()(const op::DirectWrite& write) const {
    const DirectFile& file = context().direct_file;
    SeenResult result = errno_result(file.write(context().layout.address_of(write.cell), run.slot));
    if (result.code != 0) return result;
    result.code = file.written(run.slot, &result.word);
    if (result.code == 0) result.kind = SeenResult::Kind::word;
    return result;
  }

  // The ioctls of userfaultfd.
  template <typename Op>
  requires requires(const Userfault& uffd, const Op& o, const Layout& layout) { uffd.request(o, layout, 0); }
  SeenResult operator()(const Op& o) const {
    return errno_result(context().userfault.request(o, context().layout, run.iteration));
  }

  SeenResult operator()(const op::Mmap& map) const {
    return call_result(map_fixed(context(), map.range, map.backing, map.protection, map.file));
  }

  SeenResult operator()(const op::Munmap& unmap) const {
    return call_result(munmap(pointer(run.context.layout.address_of(unmap.range)), bytes_of(unmap.range)) == 0);
  }

  SeenResult operator()(const op::Mprotect& protect) const {
    return call_result(mprotect(pointer(run.context.layout.address_of(protect.range)), bytes_of(protect.range),
                                prot_of(protect.protection)) == 0);
  }

  SeenResult operator()(const op::Mremap& move) const {
    void* const to = pointer(run.context.layout.address_of(move.to));
    return call_result(mremap(pointer(run.context.layout.address_of(move.range)), bytes_of(move.range), bytes_of(move.range),
                              MREMAP_MAYMOVE | MREMAP_FIXED | (move.dontunmap ? MREMAP_DONTUNMAP : 0), to) == to);
  }

  SeenResult operator()(const op::Madvise& advise) const {
    return call_result(
        madvise(pointer(run.context.layout.address_of(advise.range)), bytes_of(advise.range), number_of(advise.advice)) == 0);
  }

  SeenResult operator()(const op::Msync& sync) const {
    return call_result(msync(pointer(context().layout.address_of(sync.range)), bytes_of(sync.range), MS_SYNC) == 0);
  }

  SeenResult operator()(const op::Truncate& truncate) const {
    return call_result(ftruncate(context().files.descriptor(truncate.file), truncate.pages * static_cast<off_t>(page_bytes)) ==
                       0);
  }

  SeenResult operator()(const op::Fork& fork_op) const {
    ProcessRecord& child = area().processes[fork_op.process];
    const int threads = static_cast<int>(context().layout.threads_of[fork_op.process].size());
    // Recorded before the call, so that the runner can tell if this thread is killed inside fork().
    area().live.fetch_add(threads);
    child.life.store(static_cast<std::uint32_t>(Life::forking));
    const std::uint32_t round = area().round.get();
    const pid_t pid = fork();
    const int error = errno;
    if (pid == 0) live_as_child(context(), fork_op.process, round);
    if (pid > 0) {
      child.pid.store(pid);
      child.life.store(static_cast<std::uint32_t>(Life::born));
      return errno_result(0);
    }
    child.life.store(static_cast<std::uint32_t>(Life::failed));
    area().live.fetch_sub(threads);
    return errno_result(error);
  }

  SeenResult operator()(const op::Exit&) const { return errno_result(0); }  // see run_statements

  SeenResult operator()(const op::Kill& kill_op) const {
    ProcessRecord& victim = area().processes[kill_op.process];
    const int pid = victim.pid.load();
    // Not forked yet, or reaped by a `wait`. Then the pid is not, or no longer, that of the process.
    if (pid == 0 || victim.reaped.load() != 0) return errno_result(ESRCH);
    suspect(area(), kill_op.process, Suspect::tried);
    if (kill(pid, SIGKILL) != 0) return errno_result(errno);
    suspect(area(), kill_op.process, Suspect::doomed);
    return errno_result(0);
  }

  // Polls instead of blocking in waitpid(), so that an abort can end it.
  SeenResult operator()(const op::Wait& wait) const {
    ProcessRecord& child = area().processes[wait.process];
    if (static_cast<Life>(child.life.load()) != Life::born) return errno_result(ECHILD);
    int status = 0;
    for (;;) {
      const pid_t pid = waitpid(child.pid.load(), &status, WNOHANG);
      if (pid < 0) return errno_result(errno);
      if (pid > 0) break;
      if (gave_up(area())) return errno_result(EINTR);
      sched_yield();
    }
    child.reaped.store(1);
    SeenResult result;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      result.kind = SeenResult::Kind::exited;
    } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
      result.kind = SeenResult::Kind::killed;
    } else {
      report_bench_error(area(), "a child ended strangely", wait.process, run.thread, status);
    }
    return result;
  }

  SeenResult operator()(const op::Barrier& barrier) const {
    meet(context(), barrier.barrier, run.thread);
    spin_until(now_ns() + area().offsets[run.next_offset++].load(std::memory_order_relaxed), context().oversubscribed);
    return errno_result(0);
  }

  SeenResult operator()(const op::Delay& delay) const {
    constexpr int worth_sleeping_us = 200;
    if (delay.us >= worth_sleeping_us) {
      timespec time{delay.us / 1'000'000, delay.us % 1'000'000 * 1'000L};
      while (clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &time) == EINTR) {}
    } else {
      spin_until(now_ns() + delay.us * 1'000LL, context().oversubscribed);
    }
    return errno_result(0);
  }

  // A process has one descriptor per device. A second open is refused here and never reaches the kernel.
  SeenResult operator()(const op::Open& open) const {
    Handles& handles = context().handles;
    if (!handles.reserve(context().process, open.device)) return errno_result(EBUSY);
    std::unique_ptr<DeviceHandle> handle = context().target.open(open.device);
    const int error = handle ? 0 : errno;
    handles.fill(context().process, open.device, std::move(handle));
    return errno_result(error);
  }

  SeenResult operator()(const op::Close& close) const {
    return errno_result(context().handles.close(context().process, close.device) ? 0 : EBADF);
  }

  SeenResult operator()(const op::Migrate& migrate) const {
    if (is_buffer(context().program.regions[migrate.range.region].backing))
      return svm_result(migrate.via, [&](Svm& svm) {
        return svm.migrate(context().layout.address_of(migrate.range), bytes_of(migrate.range), migrate.to_device);
      });
    const Handles::Use device(context().handles, migrate.via.opener, migrate.via.device);
    if (!device) return errno_result(EBADF);
    const auto ask = [&](int pages) {
      return device->migrate(context().layout.address_of(migrate.range), pages, migrate.to_device);
    };
    const PageFailure failure(migrate.fail, [&] { ask(0); });
    if (failure.error() != 0)
      report_bench_error(context().area, "cannot make an allocation fail", context().process, run.thread, failure.error());
    return errno_result(ask(migrate.range.count));
  }

  SeenResult operator()(const op::Exclusive& exclusive) const {
    const Handles::Use device(context().handles, exclusive.via.opener, exclusive.via.device);
    if (!device) return errno_result(EBADF);
    return errno_result(device->exclusive(context().layout.address_of(exclusive.range), exclusive.range.count, exclusive.check));
  }

  SeenResult operator()(const op::Snapshot& snapshot) const {
    const Handles::Use device(context().handles, snapshot.via.opener, snapshot.via.device);
    if (!device) return errno_result(EBADF);
    SeenResult result;
    result.code = device->snapshot(run.context.layout.address_of(snapshot.range),
                                   std::span(result.bytes).first(static_cast<std::size_t>(snapshot.range.count)));
    if (result.code != 0) return result;
    result.kind = SeenResult::Kind::letters;
    result.code = snapshot.range.count;
    return result;
  }

  SeenResult operator()(const op::Pin& pin) const {
    const Handles::Use device(context().handles, pin.via.opener, pin.via.device);
    const std::uintptr_t address = run.context.layout.address_of(pin.range);
    return errno_result(device ? device->pin(address, pin.range.count, pin.read) : EBADF);
  }

  SeenResult operator()(const op::Unpin& unpin) const {
    const Handles::Use device(context().handles, unpin.via.opener, unpin.via.device);
    const std::uintptr_t address = run.context.layout.address_of(unpin.range);
    return errno_result(device ? device->unpin(address, unpin.range.count) : EBADF);
  }
};

}  // namespace

SeenResult device_errno(const ThreadRun& run, int error) {
  if (error == ENODEV) report_bench_error(run.context.area, "the device is gone", run.context.process, run.thread, error);
  return errno_result(error);
}

bool map_fixed(const ProcessContext& context, PageRange range, Backing backing, Protection protection, int file) {
  const int flags = MAP_FIXED | context.layout.map_flags(backing);
  const int descriptor = file < 0 ? -1 : context.files.descriptor(file);
  const off_t offset = file < 0 ? 0 : range.first * static_cast<off_t>(page_bytes);
  void* const where = pointer(context.layout.address_of(range));
  return mmap(where, bytes_of(range), prot_of(protection), flags, descriptor, offset) == where;
}

SeenResult load_result(std::uintptr_t address) {
  SeenResult result;
  result.kind = SeenResult::Kind::word;
  const int signal = guarded([&] { result.word = cpu_load(address); });
  return signal == 0 ? result : signal_result(signal);
}

void place_thread(const ProcessContext& context, int thread) {
  const int wanted = context.area.cpus[thread].load(std::memory_order_relaxed);
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < static_cast<int>(context.cpus.size()); ++i)
    if (wanted < 0 || wanted == i) CPU_SET(context.cpus[i], &set);
  sched_setaffinity(0, sizeof set, &set);
}

void run_statements(ProcessContext& context, int thread, std::int64_t origin_ns) {
  Area& area = context.area;
  area.threads[thread].begun.store(1);
  ThreadRun run{context, thread, area.iteration.load(std::memory_order_relaxed), context.layout.first_offset[thread]};
  const Perform perform{run};
  const std::vector<Statement>& statements = context.program.threads[thread].statements;
  const Disturbed disturbed(context, thread);
  spin_until(origin_ns + area.offsets[run.next_offset++].load(std::memory_order_relaxed), context.oversubscribed);
  for (int i = 0; i < static_cast<int>(statements.size()); ++i) {
    if (area.abort.load(std::memory_order_relaxed) != 0) return;
    run.slot = context.layout.first_slot[thread] + i;
    disturbed.wait_before(i);
    if (order_of(statements[i].operation) != Order::plain) {
      i += run_ordered(run, std::span(statements).subspan(static_cast<std::size_t>(i))) - 1;
      continue;
    }
    Slot& slot = area.slots[run.slot];
    const SeenResult result = std::visit(perform, statements[i].operation);
    if (std::holds_alternative<op::Exit>(statements[i].operation)) {
      suspect(area, context.process, Suspect::doomed);
      record(slot, result);
      _exit(0);
    }
    record(slot, result);
  }
  finish_thread(context, thread);
  const auto done = [&](int each) { return area.threads[each].done.load() != 0 || area.iteration.load() != run.iteration; };
  const std::vector<int>& all = context.layout.threads_of[context.process];
  context.userfault.repeat_wakes(context.program.threads[thread], context.layout, [&] { return std::ranges::all_of(all, done); });
}

}  // namespace faultline
