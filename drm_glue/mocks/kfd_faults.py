"""KFD's SVM with GPU accesses through page tables: the PTEs of the ranges' pages, and the retry faults of an engine that finds
no PTE (svm_range_restore_pages() and its callees in drivers/gpu/drm/amd/amdkfd/kfd_svm.c of Linux 6.1)."""

import process_memory
from kfd import PAGE
from kfd_svm import KfdSvm

GRANULARITY = 512  # pages: ALIGN(addr + 1, 2UL << 8)
FAULT_START, FAULT_END = 7, 8
BY_GPU_FAULT = 1


class KfdWithFaults(KfdSvm):
    """`fault`: those of KfdSvm, "missed fault", "fault of the neighbour", and "stale": PTEs are never removed."""

    def __init__(self, root, fault="", **options):
        super().__init__(root, fault, **options)
        self.entries = {}  # GPU PTEs by (pid, page): True if writable

    def has_entry(self, process, page, writes):
        return (process, page) in self.entries and (self.entries[process, page] or not writes)

    def resolve(self, process, page, writes):
        """svm_range_restore_pages(): True if the engine shall retry."""
        if not self.kfd_processes[process].xnack:
            return False
        svm_range = self.svms[process].at(page) or self.create_range(process, page)
        if not svm_range:
            return False
        permissions = process_memory.protection(process, page * PAGE)
        if not permissions:
            return True  # a fault from before an munmap()
        if permissions[0] != "r" or (writes and permissions[1] != "w"):
            return False  # svm_fault_allowed()
        told = page ^ 1 if self.fault == "fault of the neighbour" else page
        where = f"@{told:x}({self.gpus[0]:x})"
        self.tell_fault(process, FAULT_START, f"{where} {'W' if writes else 'R'}")
        migrates = not svm_range.in_vram
        if migrates:  # svm_range_best_restore_location(): the faulting GPU gets the range
            self.to_vram(process, svm_range, BY_GPU_FAULT)
        mapped = self.map(process, svm_range)
        self.tell_fault(process, FAULT_END, f"{where} {'M' if migrates else 'U'}")
        return mapped

    def tell_fault(self, process, number, text):
        if self.fault != "missed fault":
            self.tell(process, number, text)

    def create_range(self, process, page):
        """svm_range_create_unregistered_range()."""
        vma = process_memory.bounds(process, page * PAGE)
        if not vma:
            return None
        start, last = max(vma[0] // PAGE, page - page % GRANULARITY), min(vma[1] // PAGE, page - page % GRANULARITY + GRANULARITY) - 1
        others = [each for of in self.svms[process].all for each in of.pages]
        start = max([start, *(each + 1 for each in others if each < page)])
        last = min([last, *(each - 1 for each in others if each > page)])
        return self.svms[process].insert(start, last)

    def has_mapped(self, process, pages, writeable):
        self.entries.update({(process, page): writeable for page in pages})

    def unmap_from_gpu(self, process, svm_range, pages, trigger):
        super().unmap_from_gpu(process, svm_range, pages, trigger)
        if self.fault != "stale":
            for page in pages:
                self.entries.pop((process, page), None)
