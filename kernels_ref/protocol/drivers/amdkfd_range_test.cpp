// amdkfd's locks, work and fences are in order in both modes.
#include "kernels_ref/protocol/drivers/amdkfd_range.h"

#include <gtest/gtest.h>

namespace faultline::ref::protocol {
namespace {

TEST(Amdkfd, IsCleanInBothModes) {
  for (const Protocol& p : {amdkfd_xnack_on(), amdkfd_xnack_off()}) {
    const Report r = examine(p, {});
    EXPECT_TRUE(r.complete);
    EXPECT_EQ(r.findings, 0u) << p.name << ": " << circle_text(r.circle);
    EXPECT_GT(r.ends, 0u);
    EXPECT_FALSE(livelock(p, {}).livelock) << p.name;
  }
}

struct Broken {
  Protocol (*protocol)();
  Variant variant;
  Finding finding;
};
class EachDuty : public testing::TestWithParam<Broken> {};
TEST_P(EachDuty, IsNeeded) {
  const Report r = examine(GetParam().protocol(), with({GetParam().variant}));
  EXPECT_TRUE(r.has(GetParam().finding)) << name_of(GetParam().variant) << " " << std::hex << r.findings << " "
                                         << circle_text(r.circle);
}
INSTANTIATE_TEST_SUITE_P(Amdkfd, EachDuty,
                         testing::Values(Broken{amdkfd_xnack_on, Variant::no_stale_fault_filter, Finding::wrong_result},
                                         Broken{amdkfd_xnack_on, Variant::missing_vma_is_reported, Finding::wrong_result},
                                         Broken{amdkfd_xnack_on, Variant::fault_keeps_vma, Finding::use_after_free},
                                         Broken{amdkfd_xnack_on, Variant::deferred_work_without_mm, Finding::use_after_free},
                                         Broken{amdkfd_xnack_on, Variant::deferred_work_keeps_mm, Finding::leak},
                                         Broken{amdkfd_xnack_off, Variant::flush_under_mmap_lock, Finding::order_cycle},
                                         Broken{amdkfd_xnack_off, Variant::exit_cancels_under_process_lock, Finding::order_cycle},
                                         Broken{amdkfd_xnack_off, Variant::eviction_takes_process_lock, Finding::order_cycle},
                                         Broken{amdkfd_xnack_off, Variant::resume_despite_eviction, Finding::wrong_result},
                                         Broken{amdkfd_xnack_on, Variant::no_read_retry, Finding::wrong_page}));

// With XNACK off, every invalidation also evicts the queues. If a page was mapped in spite of the invalidation, the GPU
// does not use it before the next restore maps it again.
TEST(Amdkfd, EvictionCountCoversTheRetry) {
  EXPECT_EQ(examine(amdkfd_xnack_off(), with({Variant::no_read_retry})).findings, 0u);
  EXPECT_TRUE(
      examine(amdkfd_xnack_off(), with({Variant::no_read_retry, Variant::resume_despite_eviction})).has(Finding::wrong_page));
}

}  // namespace
}  // namespace faultline::ref::protocol
