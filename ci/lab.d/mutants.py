"""One kernel with many bugs in it, each behind `faultline_mutant=N`; 0 is healthy.

faultline_mutant=N is a kernel command-line parameter. It can be changed at run time in
/sys/module/kernel/parameters/faultline_mutant, while nothing else runs.

The table below is the documentation. A developer could make each of these bugs. They are
silent: there is no crash and no lock report. Only a wrong value, errno, permission, or
device mapping shows them. Bugs marked "race" need two threads at the right moment, and
most runs do not show them.
"""

from planted import Bugs, Edit, Mutant, revert

DRIVER = "lib/test_hmm.c"
START = "mmu_notifier_invalidate_range_start(&range);"
END = "mmu_notifier_invalidate_range_end(&range);"

# The switch itself, which is not part of any mutant.
SWITCH = [
    Edit("mm/mmu_notifier.c", None, "DEFINE_STATIC_SRCU(srcu);",
         "$0\n\n#include <linux/moduleparam.h>\nint faultline_mutant;\n"
         "EXPORT_SYMBOL_GPL(faultline_mutant);\n"
         "core_param(faultline_mutant, faultline_mutant, int, 0644);"),
]


def silent(number, path, function, end=END):
    """The edits that make a function skip its MMU notifier calls."""
    guard = f"if (faultline_mutant != {number})\n\t$0"
    return [Edit(path, function, START, guard), Edit(path, function, end, guard)]


MUTANTS = [
    # The driver.
    Mutant(1, "drv-protect-keeps-read", "driver", False,
           "mprotect() only takes rights away, so the callback drops the write tag and "
           "keeps the entry: the device reads a PROT_NONE page.",
           [Edit(DRIVER, "dmirror_interval_invalidate", "dmirror_do_update(",
                 "if (faultline_mutant == 1 && range->event == MMU_NOTIFY_PROTECTION_VMA) {\n"
                 "\t\tunsigned long pfn;\n\t\tvoid *entry;\n\n"
                 "\t\txa_for_each_range(&dmirror->pt, pfn, entry, range->start >> PAGE_SHIFT,\n"
                 "\t\t\t\t  range->end >> PAGE_SHIFT)\n"
                 "\t\t\txa_store(&dmirror->pt, pfn, xa_untag_pointer(entry), GFP_ATOMIC);\n"
                 "\t} else\n\t\t$0")]),
    Mutant(2, "drv-ignores-clear", "driver", False,
           "The callback takes CLEAR for advice: DONTNEED, COW and compaction leave the "
           "device on the old page.",
           [Edit(DRIVER, "dmirror_interval_invalidate", "if (mmu_notifier_range_blockable(range))",
                 "if (faultline_mutant == 2 && range->event == MMU_NOTIFY_CLEAR)\n"
                 "\t\treturn true;\n\n\t$0")]),
    Mutant(3, "drv-short-invalidate", "driver", False,
           "Off by one: the last page of every invalidated range keeps its device entry.",
           [Edit(DRIVER, "dmirror_do_update", "end >> PAGE_SHIFT)",
                 "(end >> PAGE_SHIFT) - (faultline_mutant == 3 ? 2 : 0))")]),
    Mutant(4, "drv-no-set-seq", "driver", True,
           "The callback forgets mmu_interval_set_seq(): a fault that overlaps it is not "
           "told to retry, and installs the old page.",
           [Edit(DRIVER, "dmirror_interval_invalidate", "mmu_interval_set_seq(",
                 "if (faultline_mutant != 4)\n\t\t$0")]),
    Mutant(5, "drv-no-read-retry", "driver", True,
           "The fault path takes its lock and does not ask read_retry().",
           [Edit(DRIVER, "dmirror_range_fault", "if (mmu_interval_read_retry(",
                 "if (faultline_mutant != 5 &&\n\t\t    mmu_interval_read_retry(")]),
    Mutant(6, "drv-unlock-before-store", "driver", True,
           "The fault path asks read_retry() under the lock, drops it, and then fills the "
           "device page table.",
           [Edit(DRIVER, "dmirror_range_fault", "ret = dmirror_do_fault(",
                 "if (faultline_mutant == 6)\n\t\tmutex_unlock(&dmirror->mutex);\n\t$0"),
            Edit(DRIVER, "dmirror_range_fault", "mutex_unlock(&dmirror->mutex);\nout:",
                 "if (faultline_mutant != 6)\n\t\t$0")]),
    Mutant(7, "drv-read-entry-writable", "driver", False,
           "Every device entry is installed writable, whatever hmm_range_fault() said.",
           [Edit(DRIVER, "dmirror_do_fault", "if (*pfns & HMM_PFN_WRITE)",
                 "if ((*pfns & HMM_PFN_WRITE) || (faultline_mutant == 7 &&\n"
                 "\t\t    !is_zero_pfn(page_to_pfn(page))))")]),
    Mutant(8, "drv-migrate-loses-page", "driver", False,
           "The last page of a migration of several is allocated on the device, not copied.",
           [Edit(DRIVER, "dmirror_migrate_alloc_and_copy", "if (spage)\n",
                 "if (spage && !(faultline_mutant == 8 && args->npages > 1 &&\n"
                 "\t\t\t       addr + PAGE_SIZE == args->end))\n")]),
    Mutant(9, "drv-migrate-keeps-entry", "driver", False,
           "A page that the device had mapped before it was migrated to the device stays "
           "mapped at its old, freed place: device stores are lost.",
           [Edit(DRIVER, "dmirror_migrate_finalize_and_map", "entry = BACKING_PAGE(dpage);",
                 "if (faultline_mutant == 9 && xa_load(&dmirror->pt, pfn))\n"
                 "\t\t\tcontinue;\n\t\t$0")]),
    Mutant(10, "drv-fault-keeps-entry", "driver", False,
           "A CPU fault brings a page back, and the device keeps its own freed copy.",
           [Edit(DRIVER, "dmirror_devmem_fault_alloc_and_copy", "xa_erase(",
                 "if (faultline_mutant != 10)\n\t\t\t$0")]),
    # HMM.
    Mutant(11, "hmm-eperm-is-efault", "hmm", False,
           "A write to a read-only mapping gives EFAULT in place of EPERM.",
           [Edit("mm/hmm.c", "hmm_vma_fault", "return -EPERM;",
                 "return faultline_mutant == 11 ? -EFAULT : -EPERM;")]),
    Mutant(12, "hmm-dirty-is-writable", "hmm", False,
           "A dirty page is reported writable, although fork() has write-protected it.",
           [Edit("mm/hmm.c", "pte_to_hmm_pfn_flags", "return pte_write(pte) ?",
                 "return pte_write(pte) || (faultline_mutant == 12 && pte_dirty(pte)) ?")]),
    # The notifier core.
    Mutant(13, "mn-begin-does-not-wait", "notifier", True,
           "mmu_interval_read_begin() returns while the range is being invalidated.",
           [Edit("mm/mmu_notifier.c", "mmu_interval_read_begin", "if (is_invalidating)",
                 "if (is_invalidating && faultline_mutant != 13)")]),
    Mutant(14, "mn-first-end-ends-all", "notifier", True,
           "Of two invalidations at a time, the end of the first lets readers in while the "
           "second still runs.",
           [Edit("mm/mmu_notifier.c", "mn_itree_inv_end",
                 "--subscriptions->active_invalidate_ranges ||",
                 "(--subscriptions->active_invalidate_ranges && faultline_mutant != 14) ||")]),
    # Device migration.
    Mutant(15, "mig-insert-ignores-prot", "migrate", False,
           "Migrating an empty page of a read-only mapping makes a writable device entry.",
           [Edit("mm/migrate_device.c", "migrate_vma_insert_page",
                 "if (vma->vm_flags & VM_WRITE)\n\t\t\tswp_entry",
                 "if ((vma->vm_flags & VM_WRITE) || faultline_mutant == 15)\n\t\t\tswp_entry")]),
    Mutant(16, "mig-flushes-one-cpu", "migrate", True,
           "Pages are unmapped for migration with a TLB flush of this CPU only: another "
           "thread's store through a stale entry is lost.",
           [Edit("mm/migrate_device.c", "migrate_vma_collect_pmd", "pte = ptep_clear_flush(",
                 "if (faultline_mutant == 16)\n"
                 "\t\t\t\t\tpte = ptep_get_and_clear(mm, addr, ptep);\n"
                 "\t\t\t\telse\n\t\t\t\t\t$0"),
            Edit("mm/migrate_device.c", "migrate_vma_collect_pmd", "if (unmapped)",
                 "if (unmapped && faultline_mutant == 16)\n\t\t__flush_tlb_all();\n"
                 "\telse $0")]),
    # Memory management proper.
    Mutant(17, "fork-no-notify", "mm", False,
           "fork() write-protects the parent's pages and tells no device.",
           silent(17, "mm/memory.c", "copy_page_range")),
    Mutant(18, "fork-last-page-writable", "mm", False,
           "fork() leaves the parent's last page of a small anonymous mapping writable, so "
           "the child sees what the parent stores later.",
           [Edit("mm/memory.c", "copy_present_pte", "ptep_set_wrprotect(",
                 "if (!(faultline_mutant == 18 && vma_is_anonymous(src_vma) &&\n"
                 "\t\t      addr + PAGE_SIZE == src_vma->vm_end && addr > src_mm->brk &&\n"
                 "\t\t      vma_pages(src_vma) <= 16))\n\t\t\t$0")]),
    Mutant(19, "fork-flushes-one-cpu", "mm", True,
           "fork() flushes the TLB of its own CPU only: other threads go on storing into "
           "pages that the child now shares.",
           [Edit("kernel/fork.c", "dup_mmap", "flush_tlb_mm(oldmm);",
                 "if (faultline_mutant == 19) {\n\t\tpreempt_disable();\n"
                 "\t\t__flush_tlb_all();\n\t\tpreempt_enable();\n\t} else\n\t\t$0")]),
    Mutant(20, "fork-private-stays-writable", "mm", False,
           "fork() leaves device-private entries writable on both sides: after the CPU "
           "fault that brings the page back, parent and child share their stores.",
           [Edit("mm/memory.c", "copy_nonpresent_pte",
                 "if (is_writable_device_private_entry(entry) &&",
                 "if (faultline_mutant != 20 && is_writable_device_private_entry(entry) &&"),
            Edit("mm/migrate.c", "remove_migration_pte",
                 "if (folio_test_anon(folio) && !is_readable_migration_entry(entry))",
                 "if (faultline_mutant == 20 && page_mapped(new))\n"
                 "\t\t\tClearPageAnonExclusive(new);\n\t\telse $0")]),
    Mutant(21, "fork-copies-dontfork", "mm", False,
           "fork() copies what MADV_DONTFORK asked it not to.",
           [Edit("kernel/fork.c", "dup_mmap", "if (mpnt->vm_flags & VM_DONTCOPY) {",
                 "if ((mpnt->vm_flags & VM_DONTCOPY) && faultline_mutant != 21) {")]),
    Mutant(22, "mprotect-no-notify", "mm", False,
           "mprotect() changes the CPU's entries and tells no device.",
           [Edit("mm/mprotect.c", "change_pmd_range", "if (!range.start) {",
                 "if (!range.start && faultline_mutant != 22) {")]),
    Mutant(23, "mprotect-no-tlb-flush", "mm", False,
           "mprotect() does not flush: CPUs keep the right to write.",
           [Edit("mm/mprotect.c", "change_pte_range", "if (pte_needs_flush(oldpte, ptent))",
                 "if (pte_needs_flush(oldpte, ptent) && faultline_mutant != 23)")]),
    Mutant(24, "mremap-no-notify", "mm", False,
           "mremap() moves the pages and leaves the device entries of the old address. Seen "
           "with MREMAP_DONTUNMAP; otherwise the munmap() inside notifies.",
           silent(24, "mm/mremap.c", "move_page_tables")),
    Mutant(25, "cow-no-notify", "mm", False,
           "Copy-on-write gives the process a new page, and the device keeps the old one.",
           silent(25, "mm/memory.c", "wp_page_copy",
                  "mmu_notifier_invalidate_range_only_end(&range);")),
    Mutant(26, "dontneed-no-notify", "mm", False,
           "MADV_DONTNEED and hole punching drop pages that the device goes on using.",
           silent(26, "mm/memory.c", "zap_page_range_single")),
    Mutant(27, "munmap-notifies-first-vma", "mm", False,
           "munmap() over several mappings notifies the range of the first one.",
           [Edit("mm/memory.c", "unmap_vmas", "start_addr, end_addr);\n\tmmu",
                 "start_addr,\n\t\t\t\tfaultline_mutant == 27 ? "
                 "min(end_addr, vma->vm_end) : end_addr);\n\tmmu")]),
    Mutant(28, "exclusive-end-no-notify", "mm", False,
           "A CPU access ends a device's exclusive access, and the device is not told.",
           silent(28, "mm/memory.c", "remove_device_exclusive_entry")),
    Mutant(29, "rmap-migrate-no-notify", "mm", False,
           "Compaction and other migration by rmap move a page under the device.",
           silent(29, "mm/rmap.c", "try_to_migrate_one")),
    Mutant(30, "collapse-no-notify", "mm", False,
           "Collapsing pages into a huge page leaves the device on the small ones.",
           silent(30, "mm/khugepaged.c", "collapse_huge_page")),
    # Where pages are, whatever they hold.
    Mutant(31, "drv-looks-after-migrating", "driver", False,
           "The driver looks at the first page with the CPU once a range has migrated, "
           "which brings that page back. No value shows it.",
           [Edit(DRIVER, "dmirror_migrate_to_device", "cmd->cpages = bounce.cpages;",
                 "if (faultline_mutant == 31) {\n"
                 "\t\tchar seen;\n\n"
                 "\t\tif (copy_from_user(&seen, (void __user *)start, 1))\n"
                 "\t\t\tret = -EFAULT;\n\t}\n\t$0")]),
    Mutant(32, "mig-ignores-pins", "migrate", False,
           "A pinned page migrates to the device, and whoever pinned it keeps the old one.",
           [Edit("mm/migrate_device.c", "migrate_vma_check_page",
                 "if ((page_count(page) - extra) > page_mapcount(page))",
                 "if (faultline_mutant != 32 &&\n"
                 "\t    (page_count(page) - extra) > page_mapcount(page))"),
            Edit("mm/migrate.c", "folio_migrate_mapping",
                 "if (folio_ref_count(folio) != expected_count)",
                 "if (folio_ref_count(folio) != expected_count &&\n"
                 "\t\t    !(faultline_mutant == 32 && folio_is_device_private(newfolio)))")]),
    Mutant(33, "rmap-unmap-no-notify", "mm", False,
           "Reclaim unmaps a page, and the device keeps it. Seen only where pages are paged out.",
           silent(33, "mm/rmap.c", "try_to_unmap_one")),
]

# The same bugs where 6.12 has them in other places.
ELSEWHERE = {
    18: [Edit("mm/memory.c", "__copy_present_ptes", "wrprotect_ptes(",
              "if (!(faultline_mutant == 18 && vma_is_anonymous(src_vma) &&\n"
              "\t\t      addr + nr * PAGE_SIZE == src_vma->vm_end && addr > src_mm->brk &&\n"
              "\t\t      vma_pages(src_vma) <= 16))\n\t\t\t$0")],
    22: [Edit("mm/mprotect.c", "change_pud_range", "if (!range.start) {",
              "if (!range.start && faultline_mutant != 22) {")],
    25: silent(25, "mm/memory.c", "wp_page_copy"),
    32: [Edit("mm/migrate_device.c", "migrate_vma_check_page",
              "if ((folio_ref_count(folio) - extra) > folio_mapcount(folio))",
              "if (faultline_mutant != 32 &&\n"
              "\t    (folio_ref_count(folio) - extra) > folio_mapcount(folio))"),
         Edit("mm/migrate.c", "folio_migrate_mapping",
              "if (folio_ref_count(folio) != expected_count)",
              "if (folio_ref_count(folio) != expected_count &&\n"
              "\t    !(faultline_mutant == 32 && folio_is_device_private(newfolio)))")],
}

KERNEL = Bugs(SWITCH, MUTANTS, ELSEWHERE)
recipe, apply, table = KERNEL.recipe, KERNEL.apply, KERNEL.table
