"""Why targets do not show some outcomes: what unseen.py looks up.

Rows: scenario, targets, {observable: text, or texts with '|' between}, reason. A row is for every outcome of
the scenario on one of the targets in which all of these observables have these texts.
"""

OWN_TLB = ("needs a device with a TLB of its own: the CPU that plays it has the new translation after its own "
           "fault, unless the thread changes CPUs between zap_pte_range and the flush")
FAULT_IN_WINDOW = ("needs a whole page fault of another CPU between zap_pte_range and the IPI of tlb_finish_mmu, "
                   "less than a microsecond unless the zapping CPU is preempted there")
BETWEEN_ACCESSES = "needs {} between two neighbouring accesses of a thread, some nanoseconds apart"
IN_THE_LAB = "needs {} between two requests of a thread; under emulation one seldom runs beside the other"
WEATHER = ("what {} does follows the state of memory (free memory, the LRU lists, who else holds the page), which a "
           "run finds the same each time")

REASONS = [
    ("collapse", ["host", "pinned", "dmirror"], {}, WEATHER.format("MADV_COLLAPSE")),
    ("free-and-pageout", ["host", "pinned", "dmirror"], {}, WEATHER.format("MADV_PAGEOUT")),
    ("dontneed-stale-load", ["host"], {"P.user:r0": "5"}, OWN_TLB),
    ("dontneed-stale-load", ["host"], {"P.user:g0": "5"}, OWN_TLB),
    ("dontneed-stale-load", ["host"], {"P.user:r0": "zero", "P.user:g0": "6"}, OWN_TLB),
    ("dontneed-stale-load", ["host"], {"P.user:r0": "6", "P.user:g0": "zero"},
     BETWEEN_ACCESSES.format("the IPI of tlb_finish_mmu")),
    ("dontneed-stale-load", ["dmirror"], {"P.user:r0": "5", "P.user:g0": "6"}, FAULT_IN_WINDOW),
    ("dontneed-device-store", ["host"], {"P.gpu:g0": "5"}, OWN_TLB),
    ("dontneed-device-store", ["host"], {"P.gpu:g0": "1", "P:a[0]": "zero", "P:a[1]": "2"},
     FAULT_IN_WINDOW),
    ("fork-keeps-device-store-order", ["host"], {"C:r0": "0", "C:r1": "1"},
     BETWEEN_ACCESSES.format("copy_present_ptes() of both pages")),
    ("dontneed-refault-survives", ["dmirror"], {"P:a[0]": "1", "P:a[2]": "zero"}, FAULT_IN_WINDOW),
    ("dontneed-refault-survives", ["dmirror"], {"P:a[0]": "zero", "P:a[2]": "2"},
     BETWEEN_ACCESSES.format("zap_pte_range")),
    ("exit-in-flight", ["dmirror"], {"P.gpu:g0": "6", "P.gpu:g1": "unknown"},
     IN_THE_LAB.format("another thread's exit_group()")),
    ("opener-exits", ["dmirror"], {"C:g0": "6", "C:g1": "EFAULT"}, IN_THE_LAB.format("the end of the opener")),
]
