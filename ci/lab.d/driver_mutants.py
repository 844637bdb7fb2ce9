"""One amdgpu.ko with many bugs in it, each behind the module's parameter faultline_mutant=N; 0 is healthy.

On the kernel's command line it is `amdgpu.faultline_mutant=N`. It can be changed at run time in
/sys/module/amdgpu/parameters/faultline_mutant, while nothing else runs.

The table below is the documentation. A part is a place in the driver: `svm` is amdkfd/kfd_svm.c, `migrate` is
amdkfd/kfd_migrate.c, `userptr` is amdgpu_mn.c and amdgpu_cs.c, `vm` is amdgpu_vm.c and amdgpu_ids.c, `events` is
amdkfd/kfd_smi_events.c. Where a bug has been in some kernel, its story ends with the commit that removed it. Bugs marked
"race" need two threads at the right moment.
"""

from planted import Bugs, Edit, Mutant

AMDGPU = "drivers/gpu/drm/amd/amdgpu/"
SVM = "drivers/gpu/drm/amd/amdkfd/kfd_svm.c"
MIGRATE = "drivers/gpu/drm/amd/amdkfd/kfd_migrate.c"
EVENTS = "drivers/gpu/drm/amd/amdkfd/kfd_smi_events.c"

SWITCH = [
    Edit(AMDGPU + "amdgpu_drv.c", None, "bool no_system_mem_limit;",
         "int faultline_mutant;\nmodule_param(faultline_mutant, int, 0644);\n\n$0"),
]


def deaf(number, event):
    """The edits that make the callback of KFD's ranges ignore an event."""
    return [Edit(SVM, "svm_range_cpu_invalidate_pagetables", "switch (range->event) {",
                 f"if (faultline_mutant == {number} && range->event == {event}) {{\n"
                 "\t\tsvm_range_unlock(prange);\n\t\treturn true;\n\t}\n\n\t$0")]


MUTANTS = [
    # Invalidations of KFD's ranges.
    Mutant(1, "svm-short-unmap", "svm", False,
           "Off by one: the last page of every invalidation of several pages stays mapped.",
           [Edit(SVM, "svm_range_unmap_from_gpu", "last, init_pte_value",
                 "faultline_mutant == 1 && last > start ? last - 1 : last,\n\t\t\t\t      init_pte_value")]),
    Mutant(2, "svm-ignores-migrate", "svm", False,
           "The callback takes each MIGRATE event for a migration of its own, which maps the range anew: when a CPU "
           "fault brings pages back, the GPU keeps their VRAM.",
           deaf(2, "MMU_NOTIFY_MIGRATE")),
    Mutant(3, "svm-ignores-protection", "svm", False,
           "The callback takes mprotect() for the CPU's affair: the GPU keeps rights that the process gave up.",
           deaf(3, "MMU_NOTIFY_PROTECTION_VMA")),
    Mutant(4, "svm-ignores-clear", "svm", False,
           "The callback takes CLEAR for advice: after MADV_DONTNEED and COW the GPU stays on the old page.",
           deaf(4, "MMU_NOTIFY_CLEAR")),
    Mutant(5, "svm-ignores-fork", "svm", False,
           "The callback takes PROTECTION_PAGE for the CPU's affair: after fork() the GPU writes to pages that the "
           "child shares.",
           deaf(5, "MMU_NOTIFY_PROTECTION_PAGE")),
    Mutant(6, "svm-no-set-seq", "svm", True,
           "The callback forgets mmu_interval_set_seq(): a fault that overlaps it is not told to start over.",
           [Edit(SVM, "svm_range_cpu_invalidate_pagetables", "mmu_interval_set_seq(",
                 "if (faultline_mutant != 6)\n\t\t$0")]),
    Mutant(7, "svm-split-not-mapped", "svm", False,
           "A range that is split off is not known to be mapped, so that its next invalidation unmaps nothing.",
           [Edit(SVM, "svm_range_split_adjust", "new->mapped_to_gpu =",
                 "if (faultline_mutant != 7)\n\t\t$0")]),
    # Mapping for the GPU.
    Mutant(8, "svm-no-read-retry", "svm", True,
           "The fault path takes its lock and maps what it found, though mmu_interval_read_retry() says that it is old.",
           [Edit(SVM, "svm_range_validate_and_map", "if (amdgpu_hmm_range_get_pages_done(hmm_range)) {",
                 "if (amdgpu_hmm_range_get_pages_done(hmm_range) && faultline_mutant != 8) {")]),
    Mutant(9, "svm-read-only-writable", "svm", False,
           "Every page is mapped writable, whatever the VMA says: the GPU writes to a read-only mapping.",
           [Edit(SVM, "svm_range_map_to_gpu", "if (readonly)", "if (readonly && faultline_mutant != 9)")]),
    Mutant(10, "svm-keeps-dma-address", "svm", False,
           "A page that had a DMA address keeps it: a range that is mapped again shows the GPU its old pages.",
           [Edit(SVM, "svm_range_dma_map_dev", "if (svm_is_valid_dma_mapping_addr(dev, addr[i]))",
                 "if (faultline_mutant == 10 && svm_is_valid_dma_mapping_addr(dev, addr[i]))\n"
                 "\t\t\tcontinue;\n\t\t$0")]),
    Mutant(11, "hmm-no-write-request", "svm", False,
           "hmm_range_fault() is not asked for the right to write, neither for ranges nor for userptr: the GPU writes to "
           "the zero page, and to pages that processes share.",
           [Edit(AMDGPU + "amdgpu_mn.c", "amdgpu_hmm_range_get_pages", "if (!readonly)",
                 "if (!readonly && faultline_mutant != 11)")]),
    Mutant(12, "svm-maps-vram-read-only", "svm", False,
           "A page in VRAM is mapped read-only: the write fault that moved it there comes again, for ever.",
           [Edit(SVM, "svm_range_map_to_gpu", "pte_flags &= ~AMDGPU_PTE_WRITEABLE;",
                 "$0\n\t\tif (faultline_mutant == 12 && last_domain)\n\t\t\tpte_flags &= ~AMDGPU_PTE_WRITEABLE;")]),
    Mutant(13, "svm-maps-first-vma", "svm", False,
           "Of a range over two mappings only the first is mapped, and the range counts as mapped. 7beb26dcedaa mended "
           "the like.",
           [Edit(SVM, "svm_range_validate_and_map", "addr = next;",
                 "addr = faultline_mutant == 13 ? end : next;")]),
    # Migration.
    Mutant(14, "mig-loses-last-page", "migrate", False,
           "The last page of a copy to VRAM is not copied.",
           [Edit(MIGRATE, "svm_migrate_copy_memory_gart", "size * PAGE_SIZE,",
                 "(size - (faultline_mutant == 14 && size > 1 &&\n"
                 "\t\t\t\t\t direction == FROM_RAM_TO_VRAM)) * PAGE_SIZE,")]),
    Mutant(15, "mig-back-forgets-run", "migrate", False,
           "A page that is in system memory already ends a run of pages that come back. The run before it is not copied.",
           [Edit(MIGRATE, "svm_migrate_copy_to_ram", "if (j) {",
                 "if (j && faultline_mutant == 15) {\n\t\t\t\tj = 0;\n\t\t\t} else $0")]),
    Mutant(16, "mig-second-vma-same-vram", "migrate", False,
           "A range over two mappings moves both to the same place in VRAM.",
           [Edit(MIGRATE, "svm_migrate_ram_to_vram", "ttm_res_offset += next - addr;",
                 "if (faultline_mutant != 16)\n\t\t\t$0")]),
    Mutant(17, "mig-no-fence", "migrate", True,
           "A CPU fault does not wait for the SDMA engine: the process goes on with a page that is not copied yet.",
           [Edit(MIGRATE, "svm_migrate_vma_to_ram", "svm_migrate_copy_done(",
                 "if (faultline_mutant != 17)\n\t\t$0")]),
    Mutant(18, "mig-stays-in-vram", "migrate", False,
           "When all pages have come back, the range still says that it is in VRAM: no later fault moves it there.",
           [Edit(MIGRATE, "svm_migrate_vram_to_ram", "if (r >= 0 && !upages) {",
                 "if (r >= 0 && !upages && faultline_mutant != 18) {")]),
    Mutant(19, "mig-leaks-vram", "migrate", False,
           "A page of VRAM that is freed keeps its reference to the buffer, which is never freed.",
           [Edit(MIGRATE, "svm_migrate_page_free", "if (svm_bo) {", "if (svm_bo && faultline_mutant != 19) {")]),
    Mutant(20, "mig-unrefs-twice", "migrate", False,
           "The buffer loses two references when a range leaves VRAM. CVE-2023-52825 was that in a race.",
           [Edit(SVM, "svm_range_vram_node_free", "svm_range_bo_unref(prange->svm_bo);",
                 "if (faultline_mutant == 20)\n\t\t\tsvm_range_bo_unref(prange->svm_bo);\n\t\t$0")]),
    # Pages of the process in jobs (userptr).
    Mutant(21, "userptr-old-pages", "userptr", False,
           "A job whose pages have changed uses those of the job before.",
           [Edit(AMDGPU + "amdgpu_cs.c", "amdgpu_cs_parser_bos", "e->user_invalidated = userpage_invalidated;",
                 "e->user_invalidated = userpage_invalidated &&\n"
                 "\t\t\t!(faultline_mutant == 21 && bo->tbo.ttm->pages[0]);")]),
    Mutant(22, "userptr-no-wait", "userptr", True,
           "The callback does not wait for the jobs that use the page.",
           [Edit(AMDGPU + "amdgpu_mn.c", "amdgpu_mn_invalidate_gfx", "r = dma_resv_wait_timeout(",
                 "r = faultline_mutant == 22 ? 1 : dma_resv_wait_timeout(")]),
    Mutant(23, "userptr-no-retry", "userptr", True,
           "A job is sent, though its pages were invalidated after it had looked them up.",
           [Edit(AMDGPU + "amdgpu_cs.c", "amdgpu_cs_submit", "if (r || !list_empty(&vm->invalidated)) {",
                 "if ((r && faultline_mutant != 23) || !list_empty(&vm->invalidated)) {")]),
    Mutant(24, "userptr-ignores-clear", "userptr", True,
           "The callback takes CLEAR for advice: it neither waits for jobs nor makes new ones start over.",
           [Edit(AMDGPU + "amdgpu_mn.c", "amdgpu_mn_invalidate_gfx", "mutex_lock(&adev->notifier_lock);",
                 "if (faultline_mutant == 24 && range->event == MMU_NOTIFY_CLEAR)\n\t\treturn true;\n\n\t$0")]),
    # TLBs and queues.
    Mutant(25, "vm-forgets-flush", "vm", False,
           "A job that finds its VM's VMID again does not flush the TLB, whatever has changed. As 94e25cb6ab7f: an "
           "eviction without a flush.",
           [Edit(AMDGPU + "amdgpu_ids.c", "amdgpu_vmid_grab_used", "job->vm_needs_flush |= needs_flush;",
                 "job->vm_needs_flush |= needs_flush;\n"
                 "\t\tif (faultline_mutant == 25)\n\t\t\tjob->vm_needs_flush = false;")]),
    Mutant(26, "vm-update-is-no-change", "vm", False,
           "A change of page tables does not advance tlb_seq: neither jobs nor queues flush.",
           [Edit(AMDGPU + "amdgpu_vm.c", "amdgpu_vm_update_range", "if (flush_tlb || params.table_freed) {",
                 "if ((flush_tlb || params.table_freed) && faultline_mutant != 26) {")]),
    Mutant(27, "kfd-no-flush", "vm", False,
           "An invalidation changes page tables, and the TLB of the process's queues is not flushed.",
           [Edit("drivers/gpu/drm/amd/amdkfd/kfd_process.c", "kfd_flush_tlb",
                 "if (atomic64_xchg(&pdd->tlb_seq, tlb_seq) == tlb_seq)",
                 "if (atomic64_xchg(&pdd->tlb_seq, tlb_seq) == tlb_seq ||\n\t    faultline_mutant == 27)")]),
    Mutant(28, "svm-evict-keeps-queues", "svm", False,
           "Without retry faults an invalidation must stop the queues of the process. It does not.",
           [Edit(SVM, "svm_range_evict", "r = kgd2kfd_quiesce_mm(",
                 "r = faultline_mutant == 28 ? 0 : kgd2kfd_quiesce_mm(")]),
    Mutant(29, "svm-restore-maps-nothing", "svm", False,
           "The worker that restarts the queues does not map the changed pages first: they go on with the old ones.",
           [Edit(SVM, "svm_range_restore_work", "r = svm_range_validate_and_map(",
                 "r = faultline_mutant == 29 ? 0 : svm_range_validate_and_map(")]),
    # What the driver tells.
    Mutant(30, "smi-no-unmap", "events", False,
           "An unmap by a migration is not told.",
           [Edit(EVENTS, "kfd_smi_event_unmap_from_gpu", "kfd_smi_event_add(",
                 "if (faultline_mutant == 30 && trigger == KFD_SVM_UNMAP_TRIGGER_MMU_NOTIFY_MIGRATE)\n"
                 "\t\treturn;\n\t$0")]),
]

DRIVER = Bugs(SWITCH, MUTANTS)
