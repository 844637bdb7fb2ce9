"""KFD's SVM with its events: pages that move, are mapped on the GPU and unmapped (drivers/gpu/drm/amd/amdkfd/kfd_svm.c,
kfd_migrate.c, kfd_smi_events.c; the lines are those of Linux 6.1). The pages stay where they are: only what is told of them
is mocked, and a CPU that touches one in VRAM is not noticed; a job on userptr memory that does is."""

import collections
import errno
import os
import socket
import struct
import threading
import time

from gi.repository import GLib

import process_memory
from device import Refused
from kfd import ACCESS, IN_PLACE, PAGE, PREFETCH, Kfd

MIGRATE_START, MIGRATE_END, EVICTION, RESTORE, UNMAP = 5, 6, 9, 10, 11
BY_PREFETCH, BY_CPU_FAULT = 0, 2
BY_NOTIFIER, BY_MIGRATION, BY_MUNMAP = 0, 1, 2
RESTORE_MS = 1  # AMDGPU_SVM_RANGE_RESTORE_DELAY_MS


class KfdSvm(Kfd):
    """`root`: of the testbed. `fault`: what is told wrongly ("missed event", "wrong location")."""

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
        self.lock = threading.RLock()  # svms->lock: requests are answered in umockdev's thread, workers run in GLib's

    def hear(self, request):
        with self.lock:
            super().hear(request)

    def handle(self, request):
        with self.lock:
            return super().handle(request)

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
        if any(kind in (ACCESS, IN_PLACE) for kind, _ in attributes):
            self.map(process, pages)

    def map(self, process, pages):
        """svm_range_validate_and_map(); whether it could."""
        for page in pages:
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
        """svm_migrate_to_ram(): the whole range comes back."""
        key = (process, address // PAGE)
        with self.lock:
            if key in self.in_vram:
                of = self.ranges[key]
                self.bring_back(process, sorted(page for (pid, page), each in self.ranges.items() if each == of and pid == process),
                                BY_CPU_FAULT)

    def migrate(self, process, pages, to, trigger, movable):
        """svm_migrate_ram_to_vram() and back: a start always, an end where a page could move."""
        gpu, start, last = self.gpus[0], pages[0], pages[-1]
        source, target = (gpu, 0) if to == 0 else (0, gpu)
        where = f"@{start:x}({last - start + 1:x}) {source:x}->{target:x}"
        self.tell(process, MIGRATE_START, f"{where} {to:x}:0 {trigger}")
        if not movable:
            return
        moving = {(process, page) for page in movable}
        self.unmap_at_migration(process, moving)
        self.in_vram = self.in_vram - moving if to == 0 else self.in_vram | moving
        if self.fault == "wrong location":
            where = f"@{start:x}({last - start + 1:x}) {source:x}->{gpu if to == 0 else 0:x}"
        self.tell(process, MIGRATE_END, f"{where} {trigger}")

    def unmap_at_migration(self, process, moving):
        """The MMU_NOTIFY_MIGRATE of migrate_vma_setup(), where the GPU has the pages."""
        pages = sorted(page for pid, page in moving & self.mapped)
        if pages:
            self.invalidate(process, pages, BY_MIGRATION)

    def mapping_changes(self, process, start, size, unmaps):
        """svm_range_cpu_invalidate_pagetables()."""
        self.changing[process] += 1
        first, end = start // PAGE, -(-(start + size) // PAGE)
        pages = sorted(page for pid, page in self.mapped if pid == process and first <= page < end)
        if not pages or self.fault == "missed event":
            pass
        elif unmaps:
            self.tell_unmapped(process, pages, BY_MUNMAP)
        else:
            self.invalidate(process, pages, BY_NOTIFIER)
        if unmaps:
            gone = {key for key in self.ranges if key[0] == process and first <= key[1] < end}
            self.in_vram -= gone
            self.mapped -= gone
            for key in gone:
                del self.ranges[key]

    def mapping_changed(self, process):
        self.changing[process] -= 1

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
        self.tell(process, UNMAP, f"@{pages[0]:x}({pages[-1] - pages[0] + 1:x}) {self.gpus[0]:x} {trigger}")
