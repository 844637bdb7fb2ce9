#include "kernels_ref/scenario/thread.h"

#include <cerrno>
#include <concepts>
#include <stdexcept>

#include "harness/outcome.h"
#include "harness/queries.h"
#include "kernels_ref/mm/direct_io.h"
#include "kernels_ref/mm/driver_ops.h"
#include "kernels_ref/mm/filemap.h"
#include "kernels_ref/mm/fork_exit.h"
#include "kernels_ref/mm/page_failure.h"
#include "kernels_ref/mm/userfaultfd.h"

namespace faultline::ref {

namespace {

MirrorId mirror_of(Via via) { return mirror_id(via.device, via.opener); }
Slot first(Cpu cpu, const PageRange& range) { return cpu.shape->spans.of(range); }
Slot last(Cpu cpu, const PageRange& range) { return cpu.shape->spans.last_of(range); }

Task<Result> at_once(Result result) { co_return result; }

// A request to the device's driver.
template <typename... Parameters, typename... Arguments>
Task<Result> ask(Cpu cpu, Via via, Task<Result> (*request)(Cpu, MirrorId, Parameters...), Arguments... arguments) {
  return request ? request(cpu, mirror_of(via), arguments...) : at_once(failed(ENOTSUP));
}

// What each operation does: a system call, a device's request, or the executor's own work. If one is missing here, the
// compiler says which.
Task<Result> run(Cpu cpu, const op::Load& o) {
  const Slot slot = cpu.shape->spans.of(o.cell);
  return o.via.cpu() ? cpu_load(cpu, slot) : ask(cpu, o.via, cpu.driver().load, slot);
}

Task<Result> run(Cpu cpu, const op::Store& o) {
  const Slot slot = cpu.shape->spans.of(o.cell);
  return o.via.cpu() ? cpu_store(cpu, slot, o.value) : ask(cpu, o.via, cpu.driver().store, slot, o.value);
}

Task<Result> run(Cpu cpu, const op::Barrier& o) {
  const int which = o.barrier;
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
  co_await cpu.driver().open(cpu, mirror);
  cpu.own_process().descriptors |= 1 << mirror;
  co_return ok();
}

Task<Result> run(Cpu cpu, const op::Open& o) { return open_device(cpu, o.device); }

Task<Result> run(Cpu cpu, const op::Close& o) {
  const MirrorId mirror = mirror_id(o.device, cpu.process());
  co_await cpu.step("close");
  if (!holds_file(cpu, mirror)) co_return failed(EBADF);
  cpu.own_process().descriptors &= ~(1 << mirror);
  if (cpu.driver().mirrors) co_await put_file(cpu, mirror);
  co_return ok();
}

Task<Result> run(Cpu cpu, const op::Mmap& o) {
  return sys_mmap(cpu, first(cpu, o.range), last(cpu, o.range), o.backing, o.protection, o.file < 0 ? none : o.file);
}
Task<Result> run(Cpu cpu, const op::Munmap& o) { return sys_munmap(cpu, first(cpu, o.range), last(cpu, o.range)); }
Task<Result> run(Cpu cpu, const op::Mprotect& o) {
  return sys_mprotect(cpu, first(cpu, o.range), last(cpu, o.range), o.protection);
}
Task<Result> run(Cpu cpu, const op::Mremap& o) {
  return sys_mremap(cpu, first(cpu, o.range), last(cpu, o.range), cpu.shape->spans.of(o.to), o.dontunmap);
}
Task<Result> run(Cpu cpu, const op::Madvise& o) { return sys_madvise(cpu, first(cpu, o.range), last(cpu, o.range), o.advice); }
Task<Result> run(Cpu cpu, const op::Msync& o) { return sys_msync(cpu, first(cpu, o.range), last(cpu, o.range)); }
Task<Result> run(Cpu cpu, const op::Truncate& o) { return sys_truncate(cpu, o.file, cpu.shape->spans.in_file(o.file, o.pages)); }
Task<Result> run(Cpu cpu, const op::Fork& o) { return sys_fork(cpu, o.process); }
Task<Result> run(Cpu cpu, const op::Kill& o) { return sys_kill(cpu, o.process); }
Task<Result> run(Cpu cpu, const op::Wait& o) { return sys_wait(cpu, o.process); }
Task<Result> run(Cpu cpu, const op::DirectRead& o) { return direct_read(cpu, cpu.shape->spans.of(o.cell), o.value); }
Task<Result> run(Cpu cpu, const op::DirectWrite& o) { return direct_write(cpu, cpu.shape->spans.of(o.cell)); }

Task<Result> run(Cpu cpu, const op::UffdRegister& o) {
  return uffd_register(cpu, first(cpu, o.range), last(cpu, o.range), o.mode);
}
Task<Result> run(Cpu cpu, const op::UffdUnregister& o) { return uffd_unregister(cpu, first(cpu, o.range), last(cpu, o.range)); }
Task<Result> run(Cpu cpu, const op::UffdCopy& o) { return uffd_copy(cpu, cpu.shape->spans.of(o.cell), o.value); }
Task<Result> run(Cpu cpu, const op::UffdZero& o) { return uffd_zeropage(cpu, first(cpu, o.range), last(cpu, o.range)); }
Task<Result> run(Cpu cpu, const op::UffdProtect& o) {
  return uffd_writeprotect(cpu, first(cpu, o.range), last(cpu, o.range), o.set);
}
Task<Result> run(Cpu cpu, const op::UffdWake& o) { return uffd_wake(cpu, first(cpu, o.range), last(cpu, o.range)); }

// fork() in another thread write-protects the stack of this one: then a copy of a page of the stack may be what fails.
bool others_fork(Cpu cpu) {
  bool found = false;
  each<op::Fork>(*cpu.shape->program, [&](int thread, const op::Fork&) {
    found = found || (thread != cpu.thread && cpu.shape->program->threads[thread].process == cpu.process());
  });
  return found;
}

Task<Result> migrate_failing(Cpu cpu, const op::Migrate& o) {
  const bool forked = others_fork(cpu);
  cpu.self().fail_nth = forked ? some_allocation : static_cast<std::uint8_t>(o.fail);
  Result result = co_await ask(cpu, o.via, cpu.driver().migrate, first(cpu, o.range), last(cpu, o.range), o.to_device);
  bool fails = false;
  if (forked && may_fail(cpu) && result.kind == Result::Kind::ok)
    fails = co_await allocation_fails(cpu, "copy_to_user: wp_page_copy");
  if (fails) result = failed(EFAULT);
  cpu.self().fail_nth = 0;
  co_return result;
}
Task<Result> run(Cpu cpu, const op::Migrate& o) {
  if (o.fail > 0) return migrate_failing(cpu, o);
  return ask(cpu, o.via, cpu.driver().migrate, first(cpu, o.range), last(cpu, o.range), o.to_device);
}
Task<Result> run(Cpu cpu, const op::Snapshot& o) {
  return ask(cpu, o.via, cpu.driver().snapshot, first(cpu, o.range), last(cpu, o.range));
}
Task<Result> run(Cpu cpu, const op::Pin& o) {
  return ask(cpu, o.via, cpu.driver().pin, first(cpu, o.range), last(cpu, o.range), o.read);
}
Task<Result> run(Cpu cpu, const op::Unpin& o) {
  return ask(cpu, o.via, cpu.driver().unpin, first(cpu, o.range), last(cpu, o.range));
}
Task<Result> run(Cpu cpu, const op::Exclusive& o) {
  return ask(cpu, o.via, cpu.driver().exclusive, first(cpu, o.range), last(cpu, o.range), o.check);
}

Task<Result> run(Cpu, const op::Exit&) { return at_once(ok()); }   // run_statements does it
Task<Result> run(Cpu, const op::Delay&) { return at_once(ok()); }  // only time

// Programs with these operations belong to memory_model/: is_about_memory_model().
template <typename Operation>
requires std::same_as<Operation, op::Update> || std::same_as<Operation, op::SvmMap> || std::same_as<Operation, op::SvmUnmap> ||
    std::same_as<Operation, op::SvmCopy> || std::same_as<Operation, op::SvmFill>
        Task<Result> run(Cpu, const Operation&) {
  throw std::logic_error("an operation of the memory model's came to the model of mm");
}

// A signal ends a thread when the thread would return to user space. Until the signal has reached it, the
// thread goes on. Only threads of processes that some statement ends need these steps.
enum class Fate { lives, dies, dies_after_telling };

Task<Fate> signal_point(Cpu cpu) {
  if (!cpu.shape->mortal[cpu.process()]) co_return Fate::lives;
  const int way = co_await cpu.until("signal pending", [cpu] { return cpu.own_process().ending ? 3 : 1; });
  co_return static_cast<Fate>(way);
}

// force_sig_fault() in a thread of the device's driver. The process has no handler for the signal.
bool ends_process(Cpu cpu, const Operation& operation, const Result& result) {
  return cpu.driver().faults_kill && result.kind == Result::Kind::signal && is_device_access(operation);
}

Task<bool> run_statements(Cpu cpu) {
  const auto& statements = cpu.program_thread().statements;
  if (co_await signal_point(cpu) != Fate::lives) co_return true;
  for (; std::size_t{cpu.self().next} < statements.size(); ++cpu.self().next) {
    const int i = cpu.self().next;
    Result& slot = cpu.world().result[cpu.shape->first_result[cpu.thread] + i];
    if (std::get_if<op::Exit>(&statements[i].operation)) {
      slot = ok();  // reported before the call, because _exit does not return
      co_await cpu.step("exit_group");
      cpu.own_process().ending = 1;
      co_return true;
    }
    const Result result = co_await std::visit([cpu](const auto& o) { return run(cpu, o); }, statements[i].operation);
    if (cpu.self().interrupted) co_return true;
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
  // The main thread creates the others after it has opened the device. If it is killed before that, they never exist.
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
