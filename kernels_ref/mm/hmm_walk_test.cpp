// hmm_range_fault over every combination of entries, VMAs and requests of a few pages.
#include "kernels_ref/mm/hmm_walk.h"

#include <algorithm>
#include <cerrno>

#include <gtest/gtest.h>

namespace faultline::ref {
namespace {

constexpr HmmRequest nothing{}, read{true, false}, write{true, true};

// An mm without surprises: a fault brings in every page that can be brought in.
struct Mm {
  int faults = 0, waits = 0, retries_at = -1, walks = 0;

  HmmSurroundings surroundings() {
    return {.check_retry = [this] { return walks++ == retries_at; },
            .handle_mm_fault =
                [this](HmmSpace& space, int page, bool writes) {
                  ++faults;
                  HmmPageState& p = space.pages[page];
                  if (p.entry == HmmEntry::special || p.entry == HmmEntry::poisoned) return false;
                  if (p.entry == HmmEntry::migration || p.entry == HmmEntry::own_private) return true;
                  p.writable = writes || (p.entry == HmmEntry::present && p.writable);
                  p.entry = HmmEntry::present;
                  return true;
                },
            .migration_entry_wait =
                [this](HmmSpace& space, int page) {
                  ++waits;
                  const int pages = std::max(space.pages[page].huge_pages, 1);
                  for (int i = 0; i < pages; ++i) space.pages[page + i].entry = HmmEntry::present;
                }};
  }
};

HmmResult fault(HmmSpace& space, const std::vector<HmmRequest>& asked, Mm& mm) {
  return hmm_range_fault(space, asked, {.default_flags = {}, .pfn_flags_mask = write}, mm.surroundings());
}

HmmSpace one_vma(const std::vector<HmmEntry>& entries, HmmVma vma = {}, bool writable = false) {
  HmmSpace space{{vma}, {}};
  for (const HmmEntry entry : entries) space.pages.push_back({.entry = entry, .writable = writable});
  return space;
}

template <typename Visit>
void each_combination(Visit visit) {
  const std::vector<HmmVma> vmas = {{}, {.write = false}, {.read = false, .write = false}, {.io = true}};
  for (int vma = -1; vma < static_cast<int>(vmas.size()); ++vma)
    for (int entry = 0; entry < static_cast<int>(HmmEntry::count_); ++entry)
      for (const bool writable : {false, true})
        for (const bool huge : {false, true})
          for (const HmmRequest first : {nothing, read, write, HmmRequest{false, true}})
            for (const HmmRequest second : {nothing, read, write}) {
              if (writable && (vma < 0 || !vmas[vma].write)) continue;
              HmmSpace space{vmas, {}};
              HmmPageState page{vma, static_cast<HmmEntry>(entry), writable, 0, huge ? 2 : 0};
              space.pages = {page, page};
              visit(space, std::vector<HmmRequest>{first, second});
            }
}

TEST(HmmWalk, SuccessGivesWhatWasAskedFor) {
  int successes = 0;
  each_combination([&](HmmSpace space, const std::vector<HmmRequest>& asked) {
    const bool own = space.pages[0].entry == HmmEntry::own_private;
    Mm mm;
    const HmmResult result = fault(space, asked, mm);
    if (result.error) {
      EXPECT_TRUE(result.pfns.empty());
      return;
    }
    ++successes;
    ASSERT_EQ(result.pfns.size(), 2u);
    for (int page = 0; page < 2; ++page) {
      const HmmPfn pfn = result.pfns[page];
      if (asked[page].fault) {
        EXPECT_TRUE(pfn.valid && !pfn.error);
      }
      if (asked[page].fault && asked[page].write && !own) {
        EXPECT_TRUE(pfn.write);
      }
      if (pfn.valid) {  // never more than the CPU may do
        EXPECT_EQ(pfn.write, space.pages[page].writable);
      }
    }
  });
  EXPECT_GT(successes, 200);
}

TEST(HmmWalk, ASnapshotChangesNothingAndNeverFails) {
  each_combination([](HmmSpace space, const std::vector<HmmRequest>&) {
    Mm mm;
    const HmmResult result = hmm_range_fault(space, {write, write}, {}, mm.surroundings());  // the mask is empty
    EXPECT_EQ(result.error, 0);
    EXPECT_EQ(mm.faults + mm.waits, 0);
    EXPECT_EQ(result.pfns.size(), 2u);
  });
}

TEST(HmmWalk, EachErrorHasItsCause) {
  each_combination([](HmmSpace space, const std::vector<HmmRequest>& asked) {
    const HmmSpace before = space;
    Mm mm;
    const int error = fault(space, asked, mm).error;
    const HmmPageState& page = before.pages[0];
    const bool faults = asked[0].fault || asked[1].fault;
    const bool writes = (asked[0].fault && asked[0].write) || (asked[1].fault && asked[1].write);
    const bool outside = page.vma < 0 || !before.vmas[page.vma].read || before.vmas[page.vma].io;
    const bool hopeless = page.entry == HmmEntry::special || page.entry == HmmEntry::poisoned ||
                          (page.huge_pages && page.entry >= HmmEntry::swap && page.entry != HmmEntry::migration);
    if (error == EPERM) {
      EXPECT_TRUE(writes && !outside && !before.vmas[page.vma].write);
    }
    if (error == EFAULT) {
      EXPECT_TRUE(faults && (outside || hopeless));
    }
    if (faults && outside) {
      EXPECT_EQ(error, EFAULT);
    }
    EXPECT_NE(error, EBUSY);
    EXPECT_TRUE(error == 0 || error == EPERM || error == EFAULT);
  });
}

TEST(HmmWalk, DefaultFlagsAreForEveryPageAndTheMaskForItsOwn) {
  const HmmRange prefault{.default_flags = write, .pfn_flags_mask = {}};
  HmmSpace space = one_vma({HmmEntry::none, HmmEntry::none});
  Mm mm;
  const HmmResult all = hmm_range_fault(space, {nothing, nothing}, prefault, mm.surroundings());
  EXPECT_EQ(all.pfns, (std::vector<HmmPfn>{{true, true, false}, {true, true, false}}));
  // Reading is asked for, and writing is masked out.
  space = one_vma({HmmEntry::present});
  const HmmResult masked = hmm_range_fault(space, {write}, {{}, read}, mm.surroundings());
  EXPECT_EQ(masked.pfns, (std::vector<HmmPfn>{{true, false, false}}));
}

TEST(HmmWalk, ACollisionIsBusyBeforeAnyPageIsLookedAt) {
  HmmSpace space = one_vma({HmmEntry::none});
  Mm mm{.retries_at = 0};
  EXPECT_EQ(fault(space, {read}, mm).error, EBUSY);
  EXPECT_EQ(mm.faults, 0);
  Mm later{.retries_at = 1};  // the fault let an invalidation in
  EXPECT_EQ(fault(space, {read}, later).error, EBUSY);
  EXPECT_EQ(later.faults, 1);
}

TEST(HmmWalk, OwnPrivatePagesStayAndOthersComeBack) {
  HmmSpace space = one_vma({HmmEntry::own_private});
  Mm mm;
  EXPECT_EQ(fault(space, {write}, mm).pfns, (std::vector<HmmPfn>{{true, false, false}}));
  EXPECT_EQ(mm.faults, 0);
  for (const HmmEntry entry : {HmmEntry::other_private, HmmEntry::exclusive, HmmEntry::swap}) {
    space = one_vma({entry});
    EXPECT_EQ(fault(space, {nothing}, mm).pfns, (std::vector<HmmPfn>{{}}));
    Mm faulting;
    EXPECT_EQ(fault(space, {read}, faulting).pfns, (std::vector<HmmPfn>{{true, false, false}}));
    EXPECT_EQ(faulting.faults, 1);
  }
}

TEST(HmmWalk, AMigrationIsWaitedForWhereThePageIsAskedFor) {
  HmmSpace space = one_vma({HmmEntry::migration});
  Mm mm;
  EXPECT_EQ(fault(space, {nothing}, mm).pfns, (std::vector<HmmPfn>{{}}));
  EXPECT_EQ(mm.waits, 0);
  EXPECT_EQ(fault(space, {read}, mm).pfns, (std::vector<HmmPfn>{{true, false, false}}));
  EXPECT_EQ(mm.waits, 1);
}

TEST(HmmWalk, AFaultTakesTheRestOfTheVmaWithIt) {
  HmmSpace space = one_vma({HmmEntry::present, HmmEntry::none, HmmEntry::none});
  space.vmas.push_back({});
  space.pages.push_back({.vma = 1});
  Mm mm;
  const HmmResult result = fault(space, {nothing, read, nothing, nothing}, mm);
  EXPECT_EQ(mm.faults, 2);
  EXPECT_EQ(result.pfns, (std::vector<HmmPfn>{{true, false, false}, {true, false, false}, {true, false, false}, {}}));
}

TEST(HmmWalk, OnePageOfAHugeMappingAsksForAllOfIt) {
  HmmSpace space = one_vma({HmmEntry::present, HmmEntry::present});
  for (HmmPageState& page : space.pages) page.huge_pages = 2;
  Mm mm;
  EXPECT_EQ(fault(space, {nothing, write}, mm).pfns, (std::vector<HmmPfn>{{true, true, false}, {true, true, false}}));
  EXPECT_EQ(mm.faults, 2);
}

TEST(HmmWalk, HolesAndForeignMappingsAreErrorsOnlyWhenAskedFor) {
  for (const HmmSpace& outside : {HmmSpace{{}, {{.vma = -1}}}, one_vma({HmmEntry::present}, {.read = false}),
                                  one_vma({HmmEntry::present}, {.io = true}), one_vma({HmmEntry::special})}) {
    HmmSpace space = outside;
    Mm mm;
    EXPECT_EQ(fault(space, {nothing}, mm).pfns, (std::vector<HmmPfn>{{false, false, true}}));
    EXPECT_EQ(fault(space, {read}, mm).error, EFAULT);
  }
}

}  // namespace
}  // namespace faultline::ref
