#include "kernels_ref/mm/fork_exit.h"

#include <cerrno>

#include "kernels_ref/mm/driver_ops.h"
#include "kernels_ref/mm/exclusive.h"
#include "kernels_ref/mm/filemap.h"
#include "kernels_ref/mm/huge_memory.h"

namespace faultline::ref {

namespace {

int thread_count(const Program& program, int process) {
  int count = 0;
  for (const Thread& t : program.threads) count += t.process == process;
  return count;
}

// copy_present_pte and copy_nonpresent_pte for one page.
void copy_entry(Cpu cpu, MmId parent, MmId child, Slot s, bool last) {
  World& w = cpu.world();
  const bool protects = cpu.on(Rule::fork_write_protects) && (!last || cpu.on(Rule::fork_protects_last_page));
  Pte& pte = w.mm[parent].pte[s];
  const Pte old = pte;
  if (old.frame != none && protects) {
    w.frame[old.frame].exclusive = 0;
    w.frame[old.frame].lingering &= ~1;
  }
  if (protects) pte.writable = 0;
  if (!(pte == old)) leave_stale(cpu, parent, s, old);
  Pte copy = pte;
  if (cpu.on(Rule::fork_write_protects)) copy.writable = 0;
  if (!w.mm[child].vma[s].uffd_wp) copy.uffd_wp = 0;
  set_pte(w, child, s, copy);
}

// folio_needs_cow_for_dma for an exclusive page: no, yes, or either one if something may have left a pin behind.
enum class Seen { unpinned, pinned, either };

Seen pin_seen(const World& w, MmId parent, Slot s) {
  const Pte& pte = w.mm[parent].pte[s];
  if (pte.kind != Pte::Kind::page || !w.frame[pte.frame].exclusive) return Seen::unpinned;
  return folio_pinned(w, pte.frame) ? Seen::pinned : folio_lingering(w, pte.frame) ? Seen::either : Seen::unpinned;
}

// copy_present_page: the parent keeps its page and its entry, the child gets a page of its own.
void copy_pinned(Cpu cpu, MmId parent, MmId child, Slot s) {
  World& w = cpu.world();
  const VmaPage& vma = w.mm[child].vma[s];
  const Contents contents = w.frame[w.mm[parent].pte[s].frame].contents;
  const FrameId copy =
      alloc_frame(cpu, Frame::Kind::anon, cpu.on(Rule::fork_copy_keeps_contents) ? contents : Contents{}, {child, s});
  w.frame[copy].exclusive = 1;
  Pte pte = page_pte(copy, vma.write);
  pte.protnone = !vma.accessible();
  set_pte(w, child, s, pte);
}

// dup_mmap.
Task<void> copy_mm(Cpu cpu, MmId parent, MmId child) {
  World& w = cpu.world();
  const bool exclusive = cpu.on(Rule::fork_blocks_faults);
  co_await cpu.until("dup_mmap: mmap_write_lock", [cpu, parent] { return can_write_lock(cpu.world(), parent); });
  if (exclusive) w.mm[parent].writer = 1;
  else ++w.mm[parent].readers;
  bool copied = false;
  for (Slot s = 0; s < cpu.shape->slots();) {
    const VmaPage& first = w.mm[parent].vma[s];
    if (!first.mapped()) {
      ++s;
      continue;
    }
    const Slot last = vma_end(cpu, parent, s, cpu.shape->slots() - 1);
    if (exclusive) {
      if (!can_start_write(w, parent, s, last))
        co_await cpu.until("vma_start_write", [cpu, parent, s, last] { return can_start_write(cpu.world(), parent, s, last); });
      start_write(w, parent, s, last);
    }
    if (first.dontfork && cpu.on(Rule::fork_skips_dontfork)) {
      s = last + 1;
      continue;
    }
    const bool wiped = first.wipeonfork && cpu.on(Rule::fork_wipes);
    const bool needs_copy = first.anon_vma && !wiped;  // vma_needs_copy
    if (first.object != none) co_await lock_i_mmap(cpu, first.object);
    for (Slot p = s; p <= last; ++p) {
      VmaPage& vma = w.mm[child].vma[p];
      vma = w.mm[parent].vma[p];
      vma.dontfork = vma.locked = vma.faulting = 0;
      vma.growsdown = vma.growsdown && cpu.on(Rule::copied_vma_grows);
      if (cpu.on(Rule::fork_drops_userfaults)) vma.uffd_missing = vma.uffd_wp = 0;  // dup_userfaultfd
      // anon_vma_fork: the child gets an anon_vma of its own for each VMA.
      if (wiped) vma.anon_vma = vma.inherited = 0;
      if (vma.anon_vma) {
        vma.anon_vma = static_cast<std::uint8_t>(s + 1);
        vma.inherited = 1;
      }
      if (vma.object == none) continue;
      if (vma.is_private() || cpu.on(Rule::fork_keeps_shared)) {
        ++w.object[vma.object].mappings;
      } else {
        vma = {.backing = Backing::anon_private,
               .read = vma.read,
               .write = vma.write,
               .head = vma.head,
               .account = VmaPage::Account::yes,
               .pgoff = cpu.shape->pgoff(p)};
      }
    }
    if (needs_copy) {
      if (cpu.on(Rule::fork_notifies)) co_await invalidate_start(cpu, parent, s, last, Notify::protection_page);
      ++w.mm[parent].write_protect_seq;
      for (Slot p = s; p <= last; ++p) {
        if (w.mm[parent].pte[p].kind == Pte::Kind::none) continue;
        if (w.mm[parent].pte[p].kind == Pte::Kind::exclusive) {
          co_await cpu.step("copy_nonpresent_pte: try_restore_exclusive_pte");
          if (w.mm[parent].pte[p].kind == Pte::Kind::exclusive) restore_exclusive_entry(w, parent, p);
        }
        const int leftover = co_await cpu.until(
            "copy_present_pte", [cpu, parent, p] { return 1 + (pin_seen(cpu.world(), parent, p) == Seen::either); });
        const bool pinned = leftover || pin_seen(w, parent, p) == Seen::pinned;
        if (w.mm[parent].pte[p].huge) {  // copy_huge_pmd
          const Slot with = huge_page_of(*cpu.shape, p).last;
          const std::uint8_t frame = w.mm[parent].pte[p].frame;
          if (frame != none && w.frame[frame].kind == Frame::Kind::shared) {  // not copied: a fault can map it again
            p = with;
            continue;
          }
          if (pinned && cpu.on(Rule::fork_copies_pinned)) {
            split_huge_pmd(cpu, parent, p);
          } else {
            for (; p < with; ++p) copy_entry(cpu, parent, child, p, false);
          }
        }
        if (pinned && cpu.on(Rule::fork_copies_pinned)) {
          copy_pinned(cpu, parent, child, p);
          continue;
        }
        // Without this rule gup_fast may pin the page here, after fork() has looked for pins.
        if (!cpu.on(Rule::gup_fast_checks_fork)) co_await cpu.step("copy_present_pte: ptep_set_wrprotect");
        copy_entry(cpu, parent, child, p, p == last);
        copied = true;
      }
      ++w.mm[parent].write_protect_seq;
      if (cpu.on(Rule::fork_notifies)) co_await invalidate_end(cpu, parent);
    }
    s = last + 1;
  }
  if (copied) {
    co_await cpu.step("dup_mmap: flush_tlb_mm");
    if (cpu.on(Rule::fork_flushes)) flush(w, parent, 0, cpu.shape->slots() - 1);
  }
  exclusive ? write_unlock(w, parent) : read_unlock(w, parent);
}

// exit_mmap, unmap_vmas and free_pgtables. Nobody runs in this mm any more, so others see only one thing:
// the mm drops its references to frames and objects.
Task<void> exit_mmap(Cpu cpu, MmId mm) {
  World& w = cpu.world();
  co_await release_notifiers(cpu, mm);
  co_await cpu.step("exit_mmap");
  for (Slot s = 0; s < cpu.shape->slots(); ++s) {
    set_pte(w, mm, s, {});
    drop_vma(w, mm, s);
  }
  flush(w, mm, 0, cpu.shape->slots() - 1);
}

}  // namespace

Task<Result> sys_fork(Cpu cpu, int child) {
  World& w = cpu.world();
  const int parent = cpu.process();
  w.mm[child] = Mm{};
  co_await copy_mm(cpu, parent, child);
  ProcessState& born = w.process[child];
  born.threads = w.mm[child].users = static_cast<std::uint8_t>(thread_count(*cpu.shape->program, child));
  born.descriptors = w.process[parent].descriptors;
  for (MirrorId id = 0; id < max_mirrors; ++id)
    if (born.descriptors >> id & 1 && w.mirror[id].files) ++w.mirror[id].files;
  born.life = ProcessState::Life::alive;
  born.started = !cpu.shape->opens_first[child];
  co_return ok();
}

Task<Result> sys_kill(Cpu cpu, int process) {
  co_await cpu.step("kill");
  ProcessState& target = cpu.world().process[process];
  if (target.life == ProcessState::Life::unborn || target.life == ProcessState::Life::reaped) co_return failed(ESRCH);
  if (cpu.on(Rule::kill_ends_process) && !target.ending) target.ending = target.killed = 1;
  co_return ok();
}

Task<Result> sys_wait(Cpu cpu, int child) {
  using Life = ProcessState::Life;
  const ProcessState& target = cpu.world().process[child];
  co_await cpu.until(
      "wait", [cpu, &target] { return target.life != Life::alive || !cpu.on(Rule::wait_waits) || cpu.own_process().ending; });
  ProcessState& dead = cpu.world().process[child];
  if (dead.life == Life::unborn || dead.life == Life::reaped) co_return failed(ECHILD);
  if (dead.life == Life::zombie) dead.life = Life::reaped;
  co_return Result{.kind = dead.killed ? Result::Kind::killed : Result::Kind::exited};
}

Task<void> mmput(Cpu cpu, MmId mm) {
  if (--cpu.world().mm[mm].users == 0) co_await exit_mmap(cpu, mm);
}

bool holds_file(Cpu cpu, MirrorId opener) { return cpu.own_process().descriptors >> opener & 1; }

bool get_file(Cpu cpu, MirrorId opener) {
  if (!holds_file(cpu, opener)) return false;
  ++cpu.world().mirror[opener].files;
  return true;
}

Task<void> put_file(Cpu cpu, MirrorId opener) {
  World& w = cpu.world();
  if (w.mirror[opener].files > 1) {
    --w.mirror[opener].files;
    co_return;
  }
  co_await cpu.driver().release(cpu, opener);
}

Task<void> do_exit(Cpu cpu) {
  World& w = cpu.world();
  const int process = cpu.process();
  co_await cpu.step("exit_mm");
  co_await mmput(cpu, process);
  ProcessState& p = w.process[process];
  if (--p.threads > 0) co_return;
  for (MirrorId id = 0; id < max_mirrors; ++id)
    if (p.descriptors >> id & 1 && w.mirror[id].files) co_await put_file(cpu, id);
  p.descriptors = 0;
  co_await cpu.step("exit_notify");
  p.life = ProcessState::Life::zombie;
}

}  // namespace faultline::ref
