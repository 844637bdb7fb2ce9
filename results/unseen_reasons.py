"""Known reasons why targets do not show some outcomes. unseen.py looks them up.

Rows: scenario, targets, {observable: text, or several texts separated by '|'}, reason. A row matches an outcome of the
scenario on one of the targets if all of these observables have these texts.
"""

OWN_TLB = ("needs a device with a TLB of its own: the CPU that plays it has the new translation after its own "
           "fault, unless the thread changes CPUs between zap_pte_range and the flush")
FAULT_IN_WINDOW = ("needs a whole page fault of another CPU between zap_pte_range and the IPI of tlb_finish_mmu, "
                   "less than a microsecond unless the zapping CPU is preempted there")
BETWEEN_ACCESSES = "needs {} between two neighbouring accesses of a thread"
IN_THE_LAB = "needs {} between two neighbouring statements of another thread, where emulated CPUs seldom take turns"
BETWEEN_CALLS = ("needs accesses between two neighbouring system calls of the other thread, less than a microsecond "
                 "apart, and one of them takes a signal")
WEATHER = ("what {} does follows the state of memory (free memory, the LRU lists, who else holds the page), which a "
           "run finds the same each time")
BEFORE_PINS = "is what a kernel before 6.5 does, whose O_DIRECT takes references instead of pins"
SINCE_PINS = "is what a kernel since 6.5 does, whose O_DIRECT takes pins instead of references"
GROWING_PINS = "is what a kernel before 6.5 (6.1.37) does, whose pins extend a stack"
IN_A_KERNEL = ("needs {} between two neighbouring accesses of a kernel, some nanoseconds, while launching it takes "
               "microseconds")
NOT_X86 = "needs a CPU, or a compiler, that {}; x86 does not"

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
    ("unmap-and-map-again", ["host"], {"P.gpu:g0": "SIGSEGV", "P.gpu:g1": "5"}, OWN_TLB),
    ("unmap-and-map-again", ["host"], {"P.gpu:g1": "zero"},
     "needs an access between the return of mmap() and the store behind it, some nanoseconds"),
    ("mmap-replaces", ["host"], {"P.user:r0": "5", "P.user:g2": "zero"}, BETWEEN_ACCESSES.format("all of mmap()")),
    ("hole-and-store", ["host", "dmirror"], {"P.cpu:r0": "0", "P.cpu:r1": "zero"},
     BETWEEN_ACCESSES.format("the unmapping of madvise()")),
    ("truncate-private-store", ["host", "pinned", "dmirror"], {"P.cpu:r1": "SIGBUS", "P.cpu:r2": "zero"}, OWN_TLB),
    ("truncate-private-store", ["host", "pinned", "dmirror"], {"P.cpu:r1": "ok", "P.cpu:r2": "SIGBUS"},
     BETWEEN_ACCESSES.format("the second unmapping of truncate()")),
    ("truncate-device-store", ["host"], {"P.gpu:r0": "SIGBUS"}, BETWEEN_CALLS),
    ("truncate-device-store", ["host"], {"P.gpu:r1": "1", "P.gpu:r2": "SIGBUS"}, BETWEEN_CALLS),
    ("close-then-store", ["host"], {"P.gpu:e0": "ok", "P:a[0]": "7"},
     "needs close() and a store of the CPU between the look-up of the descriptor and the access"),
    ("free-against-store", ["host", "pinned", "dmirror"], {},
     WEATHER.format("MADV_PAGEOUT of a page that MADV_FREE has made clean")),
    ("free-device-store", ["pinned", "dmirror"], {},
     WEATHER.format("MADV_PAGEOUT of a page that MADV_FREE has made clean")),
    ("kill-in-flight", ["host", "pinned"], {}, BETWEEN_ACCESSES.format("SIGKILL")),
    ("pin-kill-in-flight", ["pinned"], {}, BETWEEN_ACCESSES.format("SIGKILL")),
    ("pin-fork-device-writes", ["pinned"], {"C:r0": "1", "C:r1": "0"},
     BETWEEN_ACCESSES.format("all of copy_page_range() from the twelfth page on")),
    ("pageout-files", ["dmirror"], {}, WEATHER.format("MADV_PAGEOUT of a file's pages")),
    ("file-pages-stay", ["dmirror"], {}, WEATHER.format("migrate_vma_unmap() of a page that others may hold")),
    ("kill-in-flight", ["dmirror"], {}, IN_THE_LAB.format("SIGKILL")),
    ("pin-kill-in-flight", ["dmirror"], {}, IN_THE_LAB.format("SIGKILL")),
    ("mmap-replaces", ["dmirror"], {"P.user:r0": "5", "P.user:g2": "zero"}, IN_THE_LAB.format("all of mmap()")),
    ("unmap-and-map-again", ["dmirror"], {"P.gpu:g0": "5", "P.gpu:g1": "zero"},
     IN_THE_LAB.format("munmap() and mmap(), but not the store behind them,")),
    ("unmap-and-map-again", ["dmirror"], {"P.gpu:g0": "EFAULT", "P.gpu:g1": "6"},
     IN_THE_LAB.format("mmap() and the store behind it")),
    ("truncate-device-store", ["dmirror"], {}, IN_THE_LAB.format("one of the two truncate()")),
    ("two-stores-across-break", ["dmirror"], {"P.cpu:r0": "6|7", "P.gpu:g0": "6|7"},
     IN_THE_LAB.format("the other thread's store")),
    ("exclusive-cpu-store-race", ["dmirror"], {}, IN_THE_LAB.format("the store of the CPU")),
    ("pin-dontneed-orphan", ["dmirror"], {"P.gpu:g0": "9"}, IN_THE_LAB.format("the last store of the CPU")),
    ("pin-fork-device-writes", ["dmirror"], {"C:r0": "1"}, IN_THE_LAB.format("fork()")),
    ("pin-submit-during-fork", ["dmirror"], {}, IN_THE_LAB.format("fork()")),
    ("svm-iriw", ["host", "opencl"], {"P.r0:x": "1", "P.r0:y": "0", "P.r1:y": "1", "P.r1:x": "0"},
     NOT_X86.format("shows two stores to two readers in different orders")),
    ("svm-load-buffering", ["opencl"], {"P.cpu:r0": "1", "P.gpu:r1": "1"},
     NOT_X86.format("does a store before the load that it stands behind")),
    ("svm-message-passing-relaxed", ["opencl"], {"P.gpu:r0": "1", "P.gpu:r1": "0"},
     NOT_X86.format("shows stores, or does loads, out of their order")),
    ("svm-coherence", ["opencl"], {"P.gpu:r0": "0", "P.gpu:r1": "1|2"}, IN_A_KERNEL.format("the CPU's first store")),
    ("svm-coherence", ["opencl"], {"P.gpu:r0": "1", "P.gpu:r1": "2"}, IN_A_KERNEL.format("the CPU's second store")),
    ("svm-load-buffering", ["opencl"], {"P.cpu:r0": "0", "P.gpu:r1": "0"}, IN_A_KERNEL.format("the CPU's load")),
    ("svm-load-buffering-acquire", ["opencl"], {"P.cpu:r0": "0", "P.gpu:r1": "0"}, IN_A_KERNEL.format("the CPU's load")),
    ("svm-message-passing-relaxed", ["opencl"], {"P.gpu:r0": "0", "P.gpu:r1": "1"}, IN_A_KERNEL.format("the CPU's stores")),
    ("svm-message-passing", ["opencl"], {"P.gpu:r0": "0", "P.gpu:r1": "1"}, IN_A_KERNEL.format("the CPU's stores")),
    ("svm-counter", ["opencl"], {"P.gpu:s0": "0|1", "P.gpu:s1": "2|3"}, IN_A_KERNEL.format("an add of the CPU")),
    ("svm-lock", ["opencl"], {"P.gpu:got": "0", "P.gpu:seen": "1"}, IN_A_KERNEL.format("the CPU's store")),
    ("usm-device-message", ["opencl"], {"P.reader:r0": "0", "P.reader:r1": "1"},
     IN_A_KERNEL.format("the other kernel's first store")),
    ("svm-iriw-seq-cst", ["opencl"], {"P.r0:x": "0", "P.r0:y": "1", "P.r1:y": "0", "P.r1:x": "1"},
     IN_A_KERNEL.format("both stores")),
    ("direct-write-shared", ["host", "pinned"], {"same(P:a[0],C:a[0])": "same"}, BEFORE_PINS),
    ("direct-read-fork", ["host", "pinned"], {"P.cpu:r1": "5", "C:a[0]": "7"}, BEFORE_PINS),
    ("direct-write-shared", ["dmirror"], {"same(P:a[0],C:a[0])": "different"}, SINCE_PINS),
    ("direct-read-fork", ["dmirror"], {"P.cpu:r1": "5", "C:a[0]": "7"},
     "needs all of fork() and a write fault during a transfer, which is a copy by this CPU on a RAM disk "
     "(stress/direct_io shows it on a slow one)"),
    ("stack-pin", ["pinned", "dmirror"], {"P:p0": "ok"}, GROWING_PINS),
    ("stack-munmap-race", ["host"], {"P.cpu:r0": "zero", "P.cpu:r1": "6"},
     BETWEEN_ACCESSES.format("a store of another CPU")),
    ("stack-munmap-race", ["dmirror"], {"P.cpu:r0": "zero", "P.cpu:r1": "6"},
     IN_THE_LAB.format("a store of the device")),
    ("stack-munmap-race", ["dmirror"], {"P.gpu:e0": "ok", "P.gpu:g0": "zero"},
     IN_THE_LAB.format("munmap() and the load behind it")),
    ("stack-two-extend", ["dmirror"], {"P.gpu:r1": "zero"},
     "needs a request of the device between the page fault of a CPU and the store that took it"),
]
