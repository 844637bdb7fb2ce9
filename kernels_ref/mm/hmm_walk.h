// All of mm/hmm.c as one sequential function: hmm_range_fault over a range of pages. Each page has a page-table
// entry and a request from the driver. Callbacks stand for what other threads do meanwhile.
//
// The interleaved reference (hmm.h) takes the same decisions: it calls hmm_vma_handle_pte page by page.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace faultline::ref {

// The kinds of page-table entries that mm/hmm.c tells apart.
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
  poisoned,  // hwpoison, and any other entry without memory behind it
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
  // Where one PMD entry, present or missing, covers the page: its first page, and how many. 0 pages: a PTE.
  int huge_first = 0, huge_pages = 0;
};

// A range of addresses within the reach of one PMD table.
struct HmmSpace {
  std::vector<HmmVma> vmas;
  std::vector<HmmPageState> pages;
};

// What the walk does about one entry.
struct HmmAction {
  enum class Kind : std::uint8_t {
    pfn,        // HMM_PFN_VALID, with HMM_PFN_WRITE where `write` is set
    empty,      // 0: nothing is there, and no fault was requested
    error_pfn,  // HMM_PFN_ERROR
    fault,      // hmm_vma_fault, for writing where `write` is set; then the walk starts over here
    wait,       // migration_entry_wait; then the walk starts over here
    efault,
  };
  Kind kind = Kind::empty;
  bool write = false;
  friend bool operator==(const HmmAction&, const HmmAction&) = default;
};

// Decides about one entry in a VMA that may be walked. For a PTE this is hmm_vma_handle_pte; for a PMD (`huge`)
// hmm_vma_walk_pmd and hmm_vma_handle_pmd. default_flags and pfn_flags_mask are already applied to `asked`. The
// modelled kernel has no device-private PMDs.
HmmAction hmm_vma_handle_pte(HmmEntry entry, bool writable, bool huge, HmmRequest asked);

// struct hmm_range. The request for a page is default_flags, plus those of its own flags that the mask lets through.
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
  // handle_mm_fault of a page: changes the page's state. False: VM_FAULT_ERROR.
  std::function<bool(HmmSpace&, int page, bool write)> handle_mm_fault;
  std::function<void(HmmSpace&, int page)> migration_entry_wait;
};

struct HmmResult {
  int error = 0;             // 0, EFAULT, EBUSY (collided with an invalidation), EPERM (write, but the VMA is read-only)
  std::vector<HmmPfn> pfns;  // empty with an error
};

// hmm_range_fault. `asked` holds the input flags of hmm_pfns, one for each page.
HmmResult hmm_range_fault(HmmSpace& space, const std::vector<HmmRequest>& asked, const HmmRange& range,
                          const HmmSurroundings& surroundings);

}  // namespace faultline::ref
