#include "kernels_ref/scenario/thread.h"

#include <cerrno>

#include "harness/outcome.h"
#include "kernels_ref/drivers/amdkfd/retry_fault.h"
#include "kernels_ref/drivers/amdkfd/svm.h"
#include "kernels_ref/drivers/pinned.h"
#include "kernels_ref/mm/direct_io.h"
#include "kernels_ref/mm/exclusive.h"
#include "kernels_ref/mm/filemap.h"
#include "kernels_ref/mm/fork_exit.h"

namespace faultline::ref {

namespace {

bool shares_tables(Cpu cpu) { return shares_cpu_tables(cpu.shape->device_class); }

bool pinned(Cpu cpu) { return cpu.shape->device_class == DeviceClass::pinned; }

bool holds_file(Cpu cpu, MirrorId mirror) { return cpu.own_process().descriptors >> mirror & 1; }

MirrorId mirror_of(Via via) { return mirror_id(via.device, via.opener); }

// A device that shares the CPU's tables is one more CPU thread, once its file is open.
Task<Result> load(Cpu cpu, const op::Load& o) {
  const Slot slot = cpu.shape->spans.of(o.cell);
  if (!o.via.cpu() && pinned(cpu)) co_return co_await pinned_load(cpu, mirror_of(o.via), slot);
  if (!o.via.cpu() && faults_on_ranges(cpu)) co_return co_await gpu_load(cpu, mirror_of(o.via), slot);
  if (!o.via.cpu() && !shares_tables(cpu)) co_return co_await dmirror_read(cpu, mirror_of(o.via), slot);
  if (!o.via.cpu()) {
    co_await cpu.step("device");
    if (!holds_file(cpu, mirror_of(o.via))) co_return failed(EBADF);
  }
  co_return co_await cpu_load(cpu, slot);
}

Task<Result> store(Cpu cpu, const op::Store& o) {
  const Slot slot = cpu.shape->spans.of(o.cell);
  if (!o.via.cpu() && pinned(cpu)) co_return co_await pinned_store(cpu, mirror_of(o.via), slot, o.value);
  if (!o.via.cpu() && faults_on_ranges(cpu)) co_return co_await gpu_store(cpu, mirror_of(o.via), slot, o.value);
  if (!o.via.cpu() && !shares_tables(cpu)) co_return co_await dmirror_write(cpu, mirror_of(o.via), slot, o.value);
  if (!o.via.cpu()) {
    co_await cpu.step("device");
    if (!holds_file(cpu, mirror_of(o.via))) co_return failed(EBADF);
  }
  co_return co_await cpu_store(cpu, slot, o.value);
}

Task<Result> barrier(Cpu cpu, int which) {
  const Program& program = *cpu.shape->program;
  const int round = ++cpu.self().arrivals[which];
  co_await cpu.until("barrier", [cpu, &program, which, round] {
    if (cpu.own_process().ending) return true;
    for (std::size_t t = 0; t < program.threads.size(); ++t) {
      int uses = 0;
      for (const Statement& s : program.threads[t].statements) {
        const auto* b = std::get_if<op::Barrier>(&s.operation);
        uses += b && b->barrier == which;
      }
      const ThreadState& other = cpu.world().thread[t];
      if (other.life == ThreadState::Life::dead) continue;
      if (other.arrivals[which] < std::min(uses, round)) return false;
    }
    return true;
  });
  co_return ok();
}

Task<Result> open_device(Cpu cpu, int device) {
  const MirrorId mirror = mirror_id(device, cpu.process());
  if (holds_file(cpu, mirror)) co_return failed(EBUSY);  // the executor's own answer: one descriptor a process
  if (shares_tables(cpu) || pinned(cpu)) co_await cpu.step("open");
  else co_await insert_notifier(cpu, mirror);
  if (pinned(cpu)) cpu.world().mirror[mirror].files = 1;
  cpu.own_process().descriptors |= 1 << mirror;
  if (is_kfd(cpu)) forget_events(cpu, cpu.process());
  co_return ok();
}

Task<Result> close_device(Cpu cpu, int device) {
  const MirrorId mirror = mirror_id(device, cpu.process());
  co_await cpu.step("close");
  if (!holds_file(cpu, mirror)) co_return failed(EBADF);
  cpu.own_process().descriptors &= ~(1 << mirror);
  if (!shares_tables(cpu)) co_await put_file(cpu, mirror);
  co_return ok();
}

Task<Result> run_statement(Cpu cpu, const Operation& operation) {
  const Shape& shape = *cpu.shape;
  const auto first = [&shape](const PageRange& r) { return shape.spans.of(r); };
  const auto last = [&shape](const PageRange& r) { return shape.spans.last_of(r); };
  if (const auto* o = std::get_if<op::Load>(&operation)) co_return co_await load(cpu, *o);
  if (const auto* o = std::get_if<op::Store>(&operation)) co_return co_await store(cpu, *o);
  if (const auto* o = std::get_if<op::Mmap>(&operation))
    co_return co_await sys_mmap(cpu, first(o->range), last(o->range), o->backing, o->protection,
                                o->file < 0 ? none : o->file);
  if (const auto* o = std::get_if<op::Munmap>(&operation))
    co_return co_await sys_munmap(cpu, first(o->range), last(o->range));
  if (const auto* o = std::get_if<op::Mprotect>(&operation))
    co_return co_await sys_mprotect(cpu, first(o->range), last(o->range), o->protection);
  if (const auto* o = std::get_if<op::Mremap>(&operation))
    co_return co_await sys_mremap(cpu, first(o->range), last(o->range), shape.spans.of(o->to));
  if (const auto* o = std::get_if<op::Madvise>(&operation))
    co_return co_await sys_madvise(cpu, first(o->range), last(o->range), o->advice);
  if (const auto* o = std::get_if<op::Msync>(&operation))
    co_return co_await sys_msync(cpu, first(o->range), last(o->range));
  if (const auto* o = std::get_if<op::Truncate>(&operation))
    co_return co_await sys_truncate(cpu, o->file, shape.spans.in_file(o->file, o->pages));
  if (const auto* o = std::get_if<op::Fork>(&operation)) co_return co_await sys_fork(cpu, o->process);
  if (const auto* o = std::get_if<op::Kill>(&operation)) co_return co_await sys_kill(cpu, o->process);
  if (const auto* o = std::get_if<op::Wait>(&operation)) co_return co_await sys_wait(cpu, o->process);
  if (const auto* o = std::get_if<op::Barrier>(&operation)) co_return co_await barrier(cpu, o->barrier);
  if (const auto* o = std::get_if<op::Open>(&operation)) co_return co_await open_device(cpu, o->device);
  if (const auto* o = std::get_if<op::Close>(&operation)) co_return co_await close_device(cpu, o->device);
  if (const auto* o = std::get_if<op::Migrate>(&operation)) {
    if (is_kfd(cpu)) {
      co_await cpu.step("svm_ioctl");
      if (!holds_file(cpu, mirror_of(o->via))) co_return failed(EBADF);
      co_return co_await svm_ioctl(cpu, mirror_of(o->via), first(o->range), last(o->range), o->to_device);
    }
    if (o->to_device)
      co_return co_await dmirror_migrate_to_device(cpu, mirror_of(o->via), first(o->range), last(o->range));
    co_return co_await dmirror_migrate_to_system(cpu, mirror_of(o->via), first(o->range), last(o->range));
  }
  if (const auto* o = std::get_if<op::Snapshot>(&operation))
    co_return co_await dmirror_snapshot(cpu, mirror_of(o->via), first(o->range), last(o->range));
  if (const auto* o = std::get_if<op::Pin>(&operation)) {
    if (shares_tables(cpu)) co_return failed(ENOTSUP);
    co_return co_await pinned_pin(cpu, mirror_of(o->via), first(o->range), last(o->range), o->read);
  }
  if (const auto* o = std::get_if<op::Unpin>(&operation)) {
    if (shares_tables(cpu)) co_return failed(ENOTSUP);
    co_return co_await pinned_unpin(cpu, mirror_of(o->via), first(o->range), last(o->range));
  }
  if (const auto* o = std::get_if<op::DirectRead>(&operation))
    co_return co_await direct_read(cpu, shape.spans.of(o->cell), o->value);
  if (const auto* o = std::get_if<op::DirectWrite>(&operation))
    co_return co_await direct_write(cpu, shape.spans.of(o->cell));
  if (const auto* o = std::get_if<op::Exclusive>(&operation)) {
    if (o->check) co_return co_await dmirror_check_exclusive(cpu, mirror_of(o->via), first(o->range), last(o->range));
    co_return co_await dmirror_exclusive(cpu, mirror_of(o->via), first(o->range), last(o->range));
  }
  co_return ok();  // exit is thread_main's; a delay is only time
}

// A thread dies of a signal where it would return to user space; until the signal has reached it, it
// goes on. Only threads of processes that some statement ends need these steps.
enum class Fate { lives, dies, dies_after_telling };

Task<Fate> signal_point(Cpu cpu) {
  if (!cpu.shape->mortal[cpu.process()]) co_return Fate::lives;
  const int way = co_await cpu.until("signal pending", [cpu] { return cpu.own_process().ending ? 3 : 1; });
  co_return static_cast<Fate>(way);
}

// force_sig_fault() in a thread of the device's driver, which has no handler for it.
bool ends_process(Cpu cpu, const Operation& operation, const Result& result) {
  return cpu.shape->device_class == DeviceClass::fatal_faults && result.kind == Result::Kind::signal &&
         is_device_access(operation);
}

Task<bool> run_statements(Cpu cpu) {
  const auto& statements = cpu.program_thread().statements;
  if (co_await signal_point(cpu) != Fate::lives) co_return true;
  for (; cpu.self().next < statements.size(); ++cpu.self().next) {
    const int i = cpu.self().next;
    Result& slot = cpu.world().result[cpu.shape->first_result[cpu.thread] + i];
    if (std::get_if<op::Exit>(&statements[i].operation)) {
      slot = ok();  // told before, since _exit does not return
      co_await cpu.step("exit_group");
      cpu.own_process().ending = 1;
      co_return true;
    }
    const Result result = co_await run_statement(cpu, statements[i].operation);
    if (ends_process(cpu, statements[i].operation, result)) {
      ProcessState& own = cpu.own_process();
      if (!own.ending) own.ending = own.killed = 1;
      co_return true;
    }
    const auto* kill = std::get_if<op::Kill>(&statements[i].operation);
    if (kill && kill->process == cpu.process() && cpu.own_process().ending) co_return true;
    const Fate fate = co_await signal_point(cpu);
    if (fate == Fate::dies) co_return true;
    slot = result;
    if (fate == Fate::dies_after_telling) co_return true;
  }
  co_return false;
}

}  // namespace

Task<void> thread_main(Cpu cpu) {
  const int process = cpu.process();
  using Life = ThreadState::Life;
  const bool main_thread = cpu.program_thread().name == cpu.shape->program->processes[process].name;
  co_await cpu.until("start", [cpu, main_thread] {
    const ProcessState& own = cpu.own_process();
    return own.life == ProcessState::Life::alive && (own.started || own.ending || main_thread);
  });
  cpu.self().life = Life::running;
  // The main thread makes the others when the device is open: killed before, they never were.
  const bool born = main_thread || cpu.own_process().started;
  if (main_thread && !cpu.own_process().started) {
    for (int device = 0; device < limits::devices; ++device)
      if (cpu.shape->opens_first[process] >> device & 1) co_await open_device(cpu, device);
    cpu.own_process().started = 1;
  }
  bool dies = true;
  if (born) dies = co_await run_statements(cpu);
  if (!dies) {
    cpu.self().life = Life::done;
    if (!cpu.shape->mortal[process]) co_return;
    co_await cpu.until("killed while idle", [cpu] { return cpu.own_process().ending; });
  }
  cpu.self().life = Life::dead;
  co_await do_exit(cpu);
}

}  // namespace faultline::ref
