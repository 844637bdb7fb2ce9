#include "kernels_ref/twins.h"

#include "kernels_ref/protocol/device_memory/migration.h"
#include "kernels_ref/protocol/drivers/dying_mm.h"
#include "kernels_ref/protocol/fork/fork_pins.h"
#include "kernels_ref/protocol/fork/pinned_pages.h"
#include "kernels_ref/protocol/notifiers/interval_notifier.h"

namespace faultline::ref {

namespace {

using protocol::Finding;
using protocol::Variant;

protocol::Protocol faults_and_invalidations() { return protocol::interval_notifier(2, 1, 2); }
protocol::Protocol faults_of_a_dying_mm() { return protocol::dying_mm(1); }
protocol::Protocol read_pins_of_a_tree() { return protocol::fork_tree(false); }

}  // namespace

const std::vector<Twins>& twins() {
  // clang-format off
  static const std::vector<Twins> all = {
      {Rule::callback_stamps, "races/truncate-device-store.scn",
       Variant::callback_does_not_stamp, faults_and_invalidations, Finding::stale_entry},
      {Rule::read_begin_waits, "races/truncate-device-store.scn",
       Variant::read_begin_does_not_wait, faults_and_invalidations, Finding::stale_entry},
      {Rule::device_rechecks, "mapping/munmap-device-store.scn",
       Variant::no_read_retry, faults_and_invalidations, Finding::stale_entry},
      {Rule::munmap_notifies, "mapping/munmap-device-store.scn",
       Variant::changes_without_notification, faults_and_invalidations, Finding::stale_entry},
      {Rule::migrate_flushes, "migration/cpu-store.scn",
       Variant::ptl_dropped_before_flush, protocol::collect_against_dontneed, Finding::stale_entry},
      {Rule::migrate_respects_pins, "location/pin-race.scn",
       Variant::migration_ignores_pins, protocol::compaction_against_device, Finding::lost_write,
       protocol::with({Variant::device_pins})},
      {Rule::close_evicts, "migration/close.scn",
       Variant::close_without_eviction, protocol::close_with_pages, Finding::use_after_free},
      {Rule::mmget_guards, "teardown/opener-exits.scn",
       Variant::dying_check_replaces_mmget, faults_of_a_dying_mm, Finding::stale_entry},
      {Rule::read_pin_unshares, "mapping/direct-write-shared.scn",
       Variant::read_pin_takes_shared, read_pins_of_a_tree, Finding::wrong_page},
      {Rule::gup_fast_checks_fork, "pin/fork-race.scn",
       Variant::gup_fast_ignores_seq, protocol::gup_fast_against_fork, Finding::wrong_page},
      {Rule::fork_copies_pinned, "pin/o-direct-across-fork.scn",
       Variant::fork_shares_pinned, protocol::o_direct_reads_file, Finding::lost_write},
      {Rule::direct_read_dirties, "mapping/direct-io.scn",
       Variant::unpin_does_not_dirty, protocol::writeback_against_device, Finding::lost_write,
       protocol::with({Variant::device_pins})},
  };
  // clang-format on
  return all;
}

}  // namespace faultline::ref
