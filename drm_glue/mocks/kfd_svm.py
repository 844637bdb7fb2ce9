"""KFD's SVM with its events: pages that move, are mapped on the GPU and unmapped (drivers/gpu/drm/amd/amdkfd/kfd_svm.c,
kfd_migrate.c, kfd_smi_events.c; the lines are those of Linux 6.1). Pages of an anonymous mapping are not there for the CPU
while they are in VRAM, where that can be (cpu_faults.py); others stay where they are, and a CPU that touches one is not
noticed. Nor is a page that a process shares with its child when it goes to VRAM taken from the child."""

import collections
import errno
import itertools
import os
import socket
import struct
import threading
import time

from gi.repository import GLib

import process_memory
from cpu_faults import CpuFaults
from device import FORKS, MOVES, Refused, UNMAPS, ZAPS
from kfd import ACCESS, IN_PLACE, PAGE, PREFETCH, Kfd

MIGRATE_START, MIGRATE_END, EVICTION, RESTORE, UNMAP = 5, 6, 9, 10, 11
BY_PREFETCH, BY_CPU_FAULT = 0, 2
BY_NOTIFIER, BY_MIGRATION, BY_MUNMAP = 0, 1, 2
RESTORE_MS = 1  # AMDGPU_SVM_RANGE_RESTORE_DELAY_MS


class KfdSvm(Kfd):
    """`root`: of the testbed. `fault`: what is told wrongly ("missed event", "wrong location"), or done: a page comes back
    without its range ("alone"), or without its content ("empty")."""

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
        self.in_vram, self.mapped = set(), set()  # (pid, page)
        self.ranges, self.range_count = {}, 0     # of each (pid, page): a number that a range's pages share
        self.evicted = set()          # pids
        self.changing = collections.Counter()  # by pid: invalidations that have not ended
        # svms->lock: requests are answered in umockdev's thread, workers run in GLib's, faults of CPUs have one.
        self.lock = threading.RLock()
        self.cpus = CpuFaults(self.lock, self.touched, self.asked)
        self.started = {}             # by pid: when

    def hear(self, request):
        with self.lock:
            super().hear(request)

    def handle(self, request):
        with self.lock:
            return super().handle(request)

    def sees_faults(self, process, descriptor):
        if self.started.get(process) != (start := process_memory.start_time(process)):  # the number was another's
            self.started[process] = start
            self.kfd_processes.pop(process, None)
            self.evicted.discard(process)
            self.forget(process, range(1 << 52))
            self.mapped = {key for key in self.mapped if key[0] != process}
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
        self.range_count += 1
        self.ranges.update({(process, page): self.range_count for page in pages})
        for kind, value in attributes:
            if kind == PREFETCH and value:
                self.migrate(process, pages, value, BY_PREFETCH, [page for page in pages if self.can_move(process, page)])
            elif kind == PREFETCH:
                self.bring_back(process, pages, BY_PREFETCH)
        if any(kind in (ACCESS, IN_PLACE) for kind, _ in attributes) and self.is_to_be_mapped(process, pages):
            self.map(process, pages)

    def is_to_be_mapped(self, process, pages):
        """svm_range_validate_and_map(): with recoverable faults, access alone is left to these."""
        of = self.kfd_processes[process]
        return not of.xnack or any((process, page) in self.in_vram | self.mapped or of.pages[page].in_place for page in pages)

    def map(self, process, pages):
        """svm_range_validate_and_map(); whether it could."""
        for page in pages:
            if (process, page) not in self.in_vram:
                process_memory.fault_in(process, page * PAGE)
            elif not self.cpus.has(process, page):
                process_memory.populate(process, page * PAGE)
        self.mapped.update((process, page) for page in pages)
        return all(process_memory.protection(process, page * PAGE).startswith("r") for page in pages)

    def can_move(self, process, page):
        """migrate_vma_collect(): also what an anonymous mapping has not got yet."""
        _, file = process_memory.vma(process, page * PAGE)
        return (process, page) not in self.in_vram and (not file or process_memory.is_present(process, page * PAGE))

    def bring_back(self, process, pages, trigger):
        in_vram = [page for page in pages if (process, page) in self.in_vram]
        if in_vram:
            self.migrate(process, pages, 0, trigger, in_vram)

    def touch(self, process, address):
        """By a job on userptr memory, which looks pages up as the CPU does."""
        page = address // PAGE
        with self.lock:
            if (process, page) in self.in_vram:
                self.bring_back(process, self.range_of(process, page), BY_CPU_FAULT)

    def touched(self, process, mm, page):
        """svm_migrate_to_ram(): the whole range comes back, to all who share its pages. `mm`: that of the process, or of one
        that was forked from it."""
        pages = self.range_of(process, page)
        movable = [each for each in pages if each in mm.contents]
        if page in movable:
            self.migrate(process, pages, 0, BY_CPU_FAULT, movable, mm)
        else:
            self.cpus.give_back(mm, [page])  # where the kernel has no range any more, and gives SIGBUS

    def range_of(self, process, page):
        of = self.ranges.get((process, page))
        if self.fault == "alone":
            return [page]
        return sorted(at for (pid, at), each in self.ranges.items() if each == of and pid == process)

    def migrate(self, process, pages, to, trigger, movable, mm=None):
        """svm_migrate_ram_to_vram() and back: a start always, an end where a page could move."""
        gpu, start, last = self.gpus[0], pages[0], pages[-1]
        source, target = (gpu, 0) if to == 0 else (0, gpu)
        where = f"@{start:x}({last - start + 1:x}) {source:x}->{target:x}"
        self.tell(process, MIGRATE_START, f"{where} {to:x}:0 {trigger}")
        if not movable:
            return
        moving = {(process, page) for page in movable}
        if to == 0:
            self.unmap_at_migration(process, moving & self.in_vram)
            self.in_vram -= moving
        else:
            self.unmap_at_migration(process, moving)
            self.in_vram |= moving
            self.cpus.take(process, movable)
        if self.fault == "wrong location":
            where = f"@{start:x}({last - start + 1:x}) {source:x}->{gpu if to == 0 else 0:x}"
        self.tell(process, MIGRATE_END, f"{where} {trigger}")
        if to == 0:  # whoever waits for a page does so until the end of it all
            self.cpus.give_back(mm or self.cpus.of.get(process), movable, self.fault == "empty")

    def unmap_at_migration(self, process, moving):
        """The MMU_NOTIFY_MIGRATE of migrate_vma_setup(), where the GPU has the pages."""
        pages = sorted(page for pid, page in moving & self.mapped)
        if pages:
            self.invalidate(process, pages, BY_MIGRATION)

    def mapping_changes(self, process, start, size, kind):
        """svm_range_cpu_invalidate_pagetables()."""
        self.changing[process] += 1
        there = self.pages_at(start, size)
        pages = sorted(page for pid, page in self.mapped if pid == process and page in there)
        if kind == FORKS:
            pages = self.copied(process, pages)
        if not pages or self.fault == "missed event":
            pass
        elif kind in (UNMAPS, MOVES):
            self.tell_unmapped(process, pages, BY_MUNMAP)
        else:
            self.invalidate(process, pages, BY_NOTIFIER)
        if kind == MOVES:
            self.cpus.give_back(self.cpus.of.get(process), list(there))
        elif kind in (UNMAPS, ZAPS, FORKS):
            self.cpus.hold(process, there)
        if kind in (UNMAPS, MOVES):
            self.forget(process, there)

    def mapping_changed(self, process, start, size, kind):
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
        gone = {key for key in self.ranges if key[0] == process and key[1] in pages}
        self.in_vram -= gone
        self.mapped -= gone
        for key in gone:
            del self.ranges[key]

    def copied(self, process, pages):
        """Those that fork() copies, in mappings that have an anon_vma."""
        mappings = [range(first, end) for first, end, anonymous in process_memory.copied_at_fork(process)
                    if anonymous or any(pid == process and page in range(first, end) for pid, page in self.in_vram)]
        return [page for page in pages if any(page in each for each in mappings)]

    def invalidate(self, process, pages, trigger):
        """svm_range_evict()."""
        if self.kfd_processes[process].xnack:
            self.tell_unmapped(process, pages, trigger)
            self.mapped -= {(process, page) for page in pages}
        elif process not in self.evicted:
            self.evicted.add(process)
            self.tell(process, EVICTION, f"{self.gpus[0]:x} 0")
            GLib.timeout_add(RESTORE_MS, self.restore, process)

    def restore(self, process):
        """svm_range_restore_work(): again as long as it cannot map what the GPU has."""
        with self.lock:
            if not os.path.exists(f"/proc/{process}/maps"):
                return False
            if self.changing[process] or not self.map(process, sorted(page for pid, page in self.mapped if pid == process)):
                return True
            self.evicted.discard(process)
            self.tell(process, RESTORE, f"{self.gpus[0]:x}")
            return False

    def tell_unmapped(self, process, pages, trigger):
        for _, of in itertools.groupby(pages, lambda page: self.ranges.get((process, page))):
            first, *_, last = 2 * list(of)
            self.tell(process, UNMAP, f"@{first:x}({last - first + 1:x}) {self.gpus[0]:x} {trigger}")
