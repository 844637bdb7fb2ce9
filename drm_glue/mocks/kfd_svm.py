"""KFD's SVM with its events: pages migrate, get GPU PTEs and lose them (drivers/gpu/drm/amd/amdkfd/kfd_svm.c,
kfd_migrate.c, kfd_smi_events.c; the event lines are those of Linux 6.1).

While an anonymous page is in VRAM, the CPU has no page there and faults, if userfaultfd is permitted (cpu_faults.py). File
pages stay where they are, and the mock does not notice a CPU that touches one. Two more gaps: when a page goes to VRAM that
a process shares with its child, the child keeps it; and there are no events for COW copies at a store after fork()."""

import collections
import errno
import os
import socket
import struct
import threading
import time

from gi.repository import GLib

import process_memory
from cpu_faults import CpuFaults
from device import FORKS, MOVES, Refused, UNMAPS, ZAPS
from kfd import PAGE, PREFERRED, PREFETCH, UNDEFINED, Kfd
from svm_ranges import SvmRange, SvmRanges

MIGRATE_START, MIGRATE_END, EVICTION, RESTORE, UNMAP = 5, 6, 9, 10, 11
BY_PREFETCH, BY_CPU_FAULT = 0, 2
BY_NOTIFIER, BY_MIGRATION, BY_MUNMAP = 0, 1, 2
RESTORE_MS = 1  # AMDGPU_SVM_RANGE_RESTORE_DELAY_MS


class KfdSvm(Kfd):
    """`root`: the testbed's root. `fault`: a wrong event ("missed event", "wrong location") or a wrong action: a page comes
    back without the rest of its range ("alone") or without its content ("empty")."""

    def __init__(self, root, fault="", **options):
        super().__init__(**options)
        self.fault = fault
        self.listener = socket.socket(socket.AF_UNIX)
        (root / "smi").unlink(missing_ok=True)
        self.listener.bind(str(root / "smi"))
        self.listener.listen(64)
        (root / "smi").chmod(0o777)
        self.listener.setblocking(False)
        self.readers = []             # (pid, socket)
        self.in_vram = set()          # (pid, page)
        self.svms = collections.defaultdict(SvmRanges)  # by pid
        self.evicted = set()          # pids
        self.changing = collections.Counter()  # by pid: invalidations that have not ended
        # Plays svms->lock. Three threads take it: umockdev's for requests, GLib's for workers, one for CPU faults.
        self.lock = threading.RLock()
        self.cpus = CpuFaults(self.lock, self.touched, self.asked)
        self.started = {}             # by pid: start time

    def hear(self, request):
        with self.lock:
            super().hear(request)

    def handle(self, request):
        with self.lock:
            return super().handle(request)

    def sees_faults(self, process, descriptor):
        if self.started.get(process) != (start := process_memory.start_time(process)):  # the pid is reused
            self.started[process] = start
            self.kfd_processes.pop(process, None)
            self.evicted.discard(process)
            self.forget(process, range(1 << 52))
            self.changing[process] = 0
            self.cpus.watch(process, descriptor)

    def next_in_vram(self, process):
        return self.cpus.next_to_drop(process)

    def new_reader(self, gpu):
        return 0xFFFFFFFF  # kernel_half.cpp: the client connects

    def tell(self, process, number, text):
        while True:
            try:
                reader, _ = self.listener.accept()
            except BlockingIOError:
                break
            pid, = struct.unpack("<i", reader.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4])
            reader.setblocking(False)
            self.readers.append((pid, reader))
        line = f"{number:x} {time.clock_gettime_ns(time.CLOCK_BOOTTIME)} -{process} {text}\n".encode()
        for pid, reader in list(self.readers):
            try:
                if pid == process:
                    reader.send(line)
            except BlockingIOError:
                pass  # no space left: dropped
            except OSError:
                self.readers.remove((pid, reader))

    def set_attributes(self, request, pages, attributes):
        super().set_attributes(request, pages, attributes)
        process = self.processes[request.client]
        if any(not process_memory.protection(process, page * PAGE) for page in pages):
            raise Refused(errno.EFAULT)  # svm_range_is_valid()
        for each in self.svms[process].add(pages):
            migrated = self.prefetch(process, each)
            if migrated and each.mapped and not self.kfd_processes[process].xnack:
                continue  # the restore worker maps it
            if migrated or any(kind not in (PREFERRED, PREFETCH) for kind, _ in attributes):
                self.map(process, each)

    def prefetch(self, process, svm_range):
        """svm_range_trigger_migration(): True if pages migrated."""
        to = self.kfd_processes[process].pages[svm_range.first].prefetch
        if to == UNDEFINED or (to != 0) == svm_range.in_vram:
            return False
        return self.to_vram(process, svm_range, BY_PREFETCH) if to else self.to_ram(process, svm_range, BY_PREFETCH)

    def map(self, process, svm_range):
        """svm_range_validate_and_map(): True if it could. With XNACK, it leaves a range in system memory to the GPU's
        faults, unless the range has the in-place attribute or is already mapped."""
        of = self.kfd_processes[process]
        reaches = not of.xnack or svm_range.in_vram or of.pages[svm_range.first].in_place
        if not reaches and not svm_range.mapped:
            return True
        parts = process_memory.parts(process, svm_range.pages)
        for pages, permissions in parts:
            if not permissions.startswith("r"):
                return False
            for page in pages:
                if (process, page) not in self.in_vram:
                    process_memory.fault_in(process, page * PAGE)
                elif not self.cpus.has(process, page):
                    process_memory.populate(process, page * PAGE)
            self.has_mapped(process, pages, permissions[1] == "w")
        whole = sum(len(pages) for pages, _ in parts) == len(svm_range.pages)
        svm_range.mapped = svm_range.mapped or whole
        return whole

    def has_mapped(self, process, pages, writeable):
        """A hook: the pages have got their GPU PTEs."""

    def can_move(self, process, page):
        """migrate_vma_collect(): also takes holes of an anonymous mapping, where no page is yet."""
        _, file = process_memory.vma(process, page * PAGE)
        return (process, page) not in self.in_vram and (not file or process_memory.is_present(process, page * PAGE))

    def touch(self, process, address):
        """A job on userptr memory looks a page up. That is like a CPU fault."""
        page = address // PAGE
        with self.lock:
            if (process, page) in self.in_vram:
                self.to_ram(process, self.svms[process].at(page), BY_CPU_FAULT)

    def touched(self, process, mm, page):
        """svm_migrate_to_ram(): the whole range comes back, for every mm that shares its pages. `mm`: the mm of the process
        or of a forked child."""
        svm_range = self.svms[process].at(page)
        if self.fault == "alone" and svm_range:
            svm_range = SvmRange(page, page, svm_range.in_vram, svm_range.mapped)
        if svm_range and svm_range.in_vram:
            self.to_ram(process, svm_range, BY_CPU_FAULT, mm)
        else:  # the kernel would give SIGBUS, or let the CPU fault for ever (lost-location in known_bugs.cpp)
            self.cpus.give_back(mm, [page])

    def to_vram(self, process, svm_range, trigger):
        """svm_migrate_ram_to_vram()."""
        for pages, _ in process_memory.parts(process, svm_range.pages):
            where = f"@{pages[0]:x}({len(pages):x}) 0->{self.gpus[0]:x}"
            self.tell(process, MIGRATE_START, f"{where} {self.gpus[0]:x}:0 {trigger}")
            self.evict(process, svm_range, pages, BY_MIGRATION)
            movable = [page for page in pages if self.can_move(process, page)]
            if not movable:
                continue
            empty = [page for page in movable if not process_memory.is_present(process, page * PAGE)]
            if empty:  # __migrate_device_pages()
                self.evict(process, svm_range, range(empty[0], pages.stop), BY_MIGRATION)
            svm_range.in_vram = True
            self.in_vram |= {(process, page) for page in movable}
            self.cpus.take(process, movable)
            if self.fault == "wrong location":
                where = f"@{pages[0]:x}({len(pages):x}) 0->0"
            self.tell(process, MIGRATE_END, f"{where} {trigger}")
        return True

    def to_ram(self, process, svm_range, trigger, mm=None):
        """svm_migrate_vram_to_ram()."""
        moved, parts = [], process_memory.parts(process, svm_range.pages)
        for pages, _ in parts:
            where = f"@{pages[0]:x}({len(pages):x}) {self.gpus[0]:x}->0"
            self.tell(process, MIGRATE_START, f"{where} 0:0 {trigger}")
            if mm and mm.is_child:
                moving = [page for page in pages if page in mm.contents]
                for page in moving:  # try_to_migrate()
                    if (process, page) in self.in_vram:
                        self.evict(process, svm_range, range(page, page + 1), BY_NOTIFIER)
            else:
                moving = [page for page in pages if (process, page) in self.in_vram]
                self.evict(process, svm_range, pages, BY_MIGRATION)
            if moving:
                moved += moving
                self.in_vram -= {(process, page) for page in moving}
                if self.fault == "wrong location":
                    where = f"@{pages[0]:x}({len(pages):x}) {self.gpus[0]:x}->{self.gpus[0]:x}"
                self.tell(process, MIGRATE_END, f"{where} {trigger}")
        # Only now: a CPU that waits for one page waits until the whole migration has ended.
        self.cpus.give_back(mm or self.cpus.of.get(process), moved, self.fault == "empty")
        if sum(len(pages) for pages, _ in parts) < len(svm_range.pages):
            return False
        svm_range.in_vram = False
        return True

    def mapping_changes(self, process, start, size, kind, protection):
        """svm_range_cpu_invalidate_pagetables()."""
        self.changing[process] += 1
        there = self.pages_at(start, size)
        for pages in [] if self.fault == "missed event" else self.told_of(process, there, kind, protection):
            for each in self.svms[process].over(pages):
                if kind in (UNMAPS, MOVES):
                    self.unmap_from_gpu(process, each, each.part(pages), BY_MUNMAP)
                else:
                    self.evict(process, each, each.part(pages), BY_NOTIFIER)
        if kind == MOVES:
            self.cpus.give_back(self.cpus.of.get(process), list(there))
        elif kind in (UNMAPS, ZAPS, FORKS):
            self.cpus.hold(process, there)
        if kind in (UNMAPS, MOVES):
            self.forget(process, there)

    def told_of(self, process, there, kind, protection):
        """The page ranges for which mm code calls the notifiers."""
        if kind in (UNMAPS, MOVES):
            return [there]
        if kind == FORKS:  # copy_page_range(): VMAs with an anon_vma
            return [range(first, end) for first, end, anonymous in process_memory.copied_at_fork(process)
                    if anonymous or any(pid == process and first <= page < end for pid, page in self.in_vram)]
        wanted = "".join(letter if protection & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4)))
        if kind == ZAPS:
            return [pages for pages, _ in process_memory.all_parts(process, there)]
        return [pages for pages, permissions in process_memory.parts(process, there) if permissions[:3] != wanted]

    def mapping_changed(self, process, start, size, kind, _):
        self.changing[process] -= 1
        there = self.pages_at(start, size)
        if kind == ZAPS:
            self.in_vram -= {(process, page) for page in there}
        self.cpus.release(process, there, kind in (UNMAPS, ZAPS))

    @staticmethod
    def pages_at(start, size):
        return range(start // PAGE, -(-(start + size) // PAGE))

    def forget(self, process, pages):
        """svm_range_unmap_from_cpu()."""
        self.svms[process].remove(pages)
        self.in_vram = {key for key in self.in_vram if key[0] != process or key[1] not in pages}

    def evict(self, process, svm_range, pages, trigger):
        """svm_range_evict()."""
        if self.kfd_processes[process].xnack:
            self.unmap_from_gpu(process, svm_range, pages, trigger)
        elif svm_range.mapped:
            svm_range.invalid = True
            if process not in self.evicted:
                self.evicted.add(process)
                self.tell(process, EVICTION, f"{self.gpus[0]:x} 0")
                GLib.timeout_add(RESTORE_MS, self.restore, process)

    def unmap_from_gpu(self, process, svm_range, pages, trigger):
        """svm_range_unmap_from_gpus()."""
        if svm_range.mapped:
            svm_range.mapped = pages != svm_range.pages
            self.tell(process, UNMAP, f"@{pages[0]:x}({len(pages):x}) {self.gpus[0]:x} {trigger}")

    def restore(self, process):
        """svm_range_restore_work(): runs again until it has mapped all invalid ranges."""
        with self.lock:
            if not os.path.exists(f"/proc/{process}/maps"):
                return False
            if self.changing[process]:
                return True
            for each in self.svms[process].all:
                if each.invalid and not self.map(process, each):
                    return True
                each.invalid = False
            self.evicted.discard(process)
            self.tell(process, RESTORE, f"{self.gpus[0]:x}")
            return False
