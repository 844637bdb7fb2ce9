#include "kernels_ref/protocol/interval_notifier.h"
#include "kernels_ref/protocol/mutant.h"
#include "kernels_ref/protocol/notifier_list.h"

namespace faultline::ref::protocol {

namespace {

Protocol faults_and_invalidations() { return interval_notifier(2, 1, 2); }

Mutant mutant(int bug, Protocol (*protocol)(), Variant variant, Finding expected) {
  return {bug, variant_name(variant).data(), protocol, variant, expected};
}

}  // namespace

std::vector<Mutant> notifier_mutants() {
  using V = Variant;
  return {
      mutant(1, faults_and_invalidations, V::programs_before_lock, Finding::stale_entry),
      mutant(2, faults_and_invalidations, V::no_read_retry, Finding::stale_entry),
      mutant(5, faults_and_invalidations, V::changes_without_notification, Finding::stale_entry),
      mutant(8, nonblocking_invalidation, V::failed_trylock_keeps_count, Finding::waits_for_ever),
      mutant(9, nonblocking_invalidation, V::failed_start_keeps_rwsem, Finding::lock_at_return),
      mutant(10, nonblocking_invalidation, V::failed_start_ends_nobody, Finding::waits_for_ever),
      mutant(12, remove_against_end, V::remove_waits_without_lock, Finding::use_after_free),
      mutant(13, unregister_against_walk, V::frees_before_grace_period, Finding::use_after_free),
      mutant(14, unregister_against_walk, V::clears_mm_hmm_first, Finding::use_after_free),
      mutant(21, insert_against_exit, V::unregisters_what_failed, Finding::not_registered),
      mutant(24, unregister_against_walk, V::unregisters_from_current_mm, Finding::leak),
  };
}

}  // namespace faultline::ref::protocol
