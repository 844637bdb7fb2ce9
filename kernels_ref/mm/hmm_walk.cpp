#include "kernels_ref/mm/hmm_walk.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace faultline::ref {

namespace {

// hmm_pte_need_fault, for an entry that gives the CPU `valid` and `writable` access.
bool need_fault(HmmRequest asked, bool valid, bool writable) { return asked.fault && (!valid || (asked.write && !writable)); }

}  // namespace

HmmAction hmm_vma_handle_pte(HmmEntry entry, bool writable, bool huge, HmmRequest asked) {
  using Kind = HmmAction::Kind;
  const HmmAction fault{Kind::fault, asked.write}, nothing{};
  switch (entry) {
    case HmmEntry::none:
    case HmmEntry::protnone: return asked.fault ? fault : nothing;
    case HmmEntry::present: return need_fault(asked, true, writable) ? fault : HmmAction{Kind::pfn, writable};
    case HmmEntry::special:
      if (need_fault(asked, true, writable)) return fault;
      return asked.fault ? HmmAction{Kind::efault} : HmmAction{Kind::error_pfn};
    case HmmEntry::migration: return asked.fault ? HmmAction{Kind::wait} : nothing;
    case HmmEntry::own_private:
    case HmmEntry::swap:
    case HmmEntry::other_private:
    case HmmEntry::exclusive:
    case HmmEntry::poisoned:
    case HmmEntry::count_: break;
  }
  // A PMD that is neither missing nor present nor migrating is bad.
  if (huge) return asked.fault ? HmmAction{Kind::efault} : HmmAction{Kind::error_pfn};
  // Never faulted, not even for a write to a read-only entry: the device already has the page.
  if (entry == HmmEntry::own_private) return {Kind::pfn, writable};
  if (!asked.fault) return nothing;
  return entry == HmmEntry::poisoned ? HmmAction{Kind::efault} : fault;
}

namespace {

class Walk {
 public:
  Walk(HmmSpace& space, const std::vector<HmmRequest>& asked, const HmmRange& range, const HmmSurroundings& surroundings)
      : space_(space), asked_(asked), range_(range), surroundings_(surroundings) {}

  // walk_page_range from the first page without a pfn. EBUSY: start over there.
  int go_on() {
    while (pfns.size() < space_.pages.size())
      if (const int error = step()) return error;
    return 0;
  }

  std::vector<HmmPfn> pfns;

 private:
  HmmRequest asked(int page) const {
    const HmmRequest own = asked_[page], mask = range_.pfn_flags_mask, always = range_.default_flags;
    return {(own.fault && mask.fault) || always.fault, (own.write && mask.write) || always.write};
  }
  // hmm_range_need_fault: the requests for [first, last] together.
  HmmRequest asked(int first, int last) const {
    HmmRequest most;
    for (int page = first; page <= last; ++page) {
      const HmmRequest one = asked(page);
      most.write = most.write || (one.fault && one.write);
      most.fault = most.fault || one.fault;
    }
    return most;
  }

  // Handles one PTE, one PMD, or one page without a VMA that may be walked.
  int step() {
    const int page = static_cast<int>(pfns.size());
    const HmmPageState& state = space_.pages[page];
    // hmm_vma_walk_hole outside any VMA, hmm_vma_walk_test
    if (state.vma < 0 || !space_.vmas[state.vma].read || space_.vmas[state.vma].io) {
      if (asked(page).fault) return EFAULT;
      return fill(page, {.error = true});
    }
    const bool huge = state.huge_pages != 0;
    const int last = huge ? std::min<int>(state.huge_first + state.huge_pages, space_.pages.size()) - 1 : page;
    const HmmAction action = hmm_vma_handle_pte(state.entry, state.writable, huge, asked(page, last));
    switch (action.kind) {
      case HmmAction::Kind::pfn: return fill(last, {.valid = true, .write = action.write});
      case HmmAction::Kind::empty: return fill(last, {});
      case HmmAction::Kind::error_pfn: return fill(last, {.error = true});
      case HmmAction::Kind::fault: return fault(page, huge ? last : last_of_vma(page), action.write);
      case HmmAction::Kind::wait: surroundings_.migration_entry_wait(space_, page); return EBUSY;
      case HmmAction::Kind::efault: break;
    }
    return EFAULT;
  }

  int fill(int last, HmmPfn pfn) {
    pfns.resize(last + 1, pfn);
    return 0;
  }

  // If a PTE needs a fault, all pages after it are faulted too, requested or not, up to the end of the VMA in
  // this PMD.
  int last_of_vma(int page) const {
    int last = page;
    while (last + 1 < static_cast<int>(space_.pages.size()) && space_.pages[last + 1].vma == space_.pages[page].vma) ++last;
    return last;
  }

  // hmm_vma_fault
  int fault(int first, int last, bool write) {
    if (write && !space_.vmas[space_.pages[first].vma].write) return EPERM;
    for (int page = first; page <= last; ++page)
      if (!surroundings_.handle_mm_fault(space_, page, write)) return EFAULT;
    return EBUSY;
  }

  HmmSpace& space_;
  const std::vector<HmmRequest>& asked_;
  const HmmRange& range_;
  const HmmSurroundings& surroundings_;
};

}  // namespace

HmmResult hmm_range_fault(HmmSpace& space, const std::vector<HmmRequest>& asked, const HmmRange& range,
                          const HmmSurroundings& surroundings) {
  Walk walk(space, asked, range, surroundings);
  int error = 0;
  do {
    if (surroundings.check_retry()) return {.error = EBUSY, .pfns = {}};
    error = walk.go_on();
  } while (error == EBUSY);
  if (error) return {.error = error, .pfns = {}};
  return {.error = 0, .pfns = std::move(walk.pfns)};
}

}  // namespace faultline::ref
