"""KFD's SVM with accesses of the GPU through its page tables: entries of the ranges' pages, and the retry faults of an
engine that finds none (svm_range_restore_pages() and what it calls in drivers/gpu/drm/amd/amdkfd/kfd_svm.c of Linux 6.1)."""

import process_memory
from kfd_svm import KfdSvm

PAGE = 4096
GRANULARITY = 512  # pages: ALIGN(addr + 1, 2UL << 8)
FAULT_START, FAULT_END = 7, 8
BY_GPU_FAULT = 1


class KfdWithFaults(KfdSvm):
    """`fault`: besides those of KfdSvm, "missed fault", "fault of the neighbour" and "stale": entries are never taken away."""

    def __init__(self, root, fault="", **options):
        super().__init__(root, fault, **options)
        self.entries = {}      # of (pid, page): whether the GPU may write
        self.located = set()   # (pid, page) whose range has its actual_loc in VRAM, wherever the page is

    def has_entry(self, process, page, writes):
        return (process, page) in self.entries and (self.entries[process, page] or not writes)

    def of_range(self, process, page):
        number = self.ranges[process, page]
        return sorted(each for (pid, each), own in self.ranges.items() if own == number and pid == process)

    def resolve(self, process, page, writes):
        """svm_range_restore_pages(): whether the engine shall try again."""
        if not self.kfd_processes[process].xnack:
            return False
        if (process, page) not in self.ranges and not self.create_range(process, page):
            return False
        permissions = process_memory.protection(process, page * PAGE)
        if not permissions:
            return True  # a fault from before an munmap()
        if permissions[0] != "r" or (writes and permissions[1] != "w"):
            return False  # svm_fault_allowed()
        pages = self.of_range(process, page)
        told = page ^ 1 if self.fault == "fault of the neighbour" else page
        where = f"@{told:x}({self.gpus[0]:x})"
        self.tell_fault(process, FAULT_START, f"{where} {'W' if writes else 'R'}")
        migrates = (process, page) not in self.located
        if migrates:  # svm_range_best_restore_location(): every GPU may reach a range, and gets it
            self.migrate(process, pages, self.gpus[0], BY_GPU_FAULT, [each for each in pages if self.can_move(process, each)])
        mapped = self.map(process, pages)
        self.tell_fault(process, FAULT_END, f"{where} {'M' if migrates else 'U'}")
        return mapped

    def tell_fault(self, process, number, text):
        if self.fault != "missed fault":
            self.tell(process, number, text)

    def create_range(self, process, page):
        """svm_range_create_unregistered_range()."""
        vma = process_memory.bounds(process, page * PAGE)
        if not vma:
            return False
        start, last = max(vma[0] // PAGE, page - page % GRANULARITY), min(vma[1] // PAGE, page - page % GRANULARITY + GRANULARITY) - 1
        others = [each for pid, each in self.ranges if pid == process]
        start = max([start, *(each + 1 for each in others if each < page)])
        last = min([last, *(each - 1 for each in others if each > page)])
        self.range_count += 1
        self.ranges.update({(process, each): self.range_count for each in range(start, last + 1)})
        return True

    def map(self, process, pages):
        whole = super().map(process, pages)
        for page in pages:
            permissions = process_memory.protection(process, page * PAGE)
            if permissions.startswith("r"):
                self.entries[process, page] = permissions[1] == "w"
        return whole

    def migrate(self, process, pages, to, trigger, movable, mm=None):
        super().migrate(process, pages, to, trigger, movable, mm)
        whole = {(process, page) for page in pages}
        if to == 0:
            self.located -= whole
        elif movable:
            self.located |= whole

    def forget(self, process, pages):
        super().forget(process, pages)
        self.located = {key for key in self.located if key[0] != process or key[1] not in pages}
        self.entries = {key: each for key, each in self.entries.items() if self.fault == "stale" or key[0] != process
                        or key[1] not in pages}

    def invalidate(self, process, pages, trigger):
        if not self.kfd_processes[process].xnack:
            return super().invalidate(process, pages, trigger)
        self.tell_unmapped(process, pages, trigger)

    def tell_unmapped(self, process, pages, trigger):
        """svm_range_unmap_from_gpus() of each range. One that is mapped in part stays mapped."""
        for number in {self.ranges[process, page] for page in pages}:
            own = [page for page in pages if self.ranges[process, page] == number]
            super().tell_unmapped(process, own, trigger)
            if own == self.of_range(process, own[0]):
                self.mapped -= {(process, page) for page in own}
            for page in own:
                if self.fault != "stale":
                    self.entries.pop((process, page), None)
