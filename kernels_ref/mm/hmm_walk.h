// mm/hmm.c whole: hmm_range_fault over a range of pages, each with what its page table holds and what the
// driver asks of it, as one sequential function. What other threads do meanwhile is a callback.
//
// The interleaved reference (hmm.h) takes the same decisions, page by page, from hmm_vma_handle_pte.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace faultline::ref {

// What an entry of a page table is, as far as mm/hmm.c tells entries apart.
enum class HmmEntry : std::uint8_t {
  none,
  present,   // the zero page too
  protnone,  // NUMA hinting, or a PROT_NONE mapping with pages in it
  special,   // pte_special, not the zero page: memory without struct page
  swap,
  own_private,    // device-private, of the device that asks (dev_private_owner)
  other_private,  // device-private, of another device
  exclusive,      // device-exclusive
  migration,
  poisoned,  // hwpoison and whatever else is no memory
  count_
};

// HMM_PFN_REQ_FAULT and HMM_PFN_REQ_WRITE.
struct HmmRequest {
  bool fault = false;
  bool write = false;
  friend bool operator==(const HmmRequest&, const HmmRequest&) = default;
};

struct HmmVma {
  bool read = true;
  bool write = true;
  bool io = false;  // VM_IO or VM_PFNMAP
};

struct HmmPageState {
  int vma = 0;  // index into HmmSpace::vmas, -1: none. Pages of one VMA lie side by side.
  HmmEntry entry = HmmEntry::none;
  bool writable = false;
  // Pages of one PMD entry, or of one that is missing: the first of them and how many. 0 pages: a PTE.
  int huge_first = 0, huge_pages = 0;
};

// A range of addresses below one PMD table's reach.
struct HmmSpace {
  std::vector<HmmVma> vmas;
  std::vector<HmmPageState> pages;
};

// What handling one entry comes to.
struct HmmAction {
  enum class Kind : std::uint8_t {
    pfn,        // HMM_PFN_VALID, with HMM_PFN_WRITE where `write` is set
    empty,      // 0: nothing there, and nothing was asked for
    error_pfn,  // HMM_PFN_ERROR
    fault,      // hmm_vma_fault, for writing where `write` is set; then the walk starts over here
    wait,       // migration_entry_wait; then the walk starts over here
    efault,
  };
  Kind kind = Kind::empty;
  bool write = false;
  friend bool operator==(const HmmAction&, const HmmAction&) = default;
};

// hmm_vma_handle_pte, and for the entry of a PMD hmm_vma_walk_pmd and hmm_vma_handle_pmd: an entry of any
// level in a VMA that may be walked. `asked` is what is left after default_flags and pfn_flags_mask. The kernel
// is one without device-private PMDs.
HmmAction hmm_vma_handle_pte(HmmEntry entry, bool writable, bool huge, HmmRequest asked);

// struct hmm_range: every page is asked for default_flags, and for those of its own flags that the mask lets by.
struct HmmRange {
  HmmRequest default_flags;
  HmmRequest pfn_flags_mask;
};

struct HmmPfn {
  bool valid = false, write = false, error = false;
  friend bool operator==(const HmmPfn&, const HmmPfn&) = default;
};

// The world around a walk.
struct HmmSurroundings {
  std::function<bool()> check_retry = [] { return false; };  // mmu_interval_check_retry
  // handle_mm_fault of a page (for writing?): changes its state; false: VM_FAULT_ERROR.
  std::function<bool(HmmSpace&, int page, bool write)> handle_mm_fault;
  std::function<void(HmmSpace&, int page)> migration_entry_wait;
};

struct HmmResult {
  int error = 0;             // 0, EBUSY: collided with an invalidation, EFAULT, EPERM: a write where the VMA has none
  std::vector<HmmPfn> pfns;  // none with an error
};

// hmm_range_fault. `asked` holds the input flags of hmm_pfns, one for each page.
HmmResult hmm_range_fault(HmmSpace& space, const std::vector<HmmRequest>& asked, const HmmRange& range,
                          const HmmSurroundings& surroundings);

}  // namespace faultline::ref
