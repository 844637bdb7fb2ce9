#include "kernels_ref/protocol/fork/pinned_pages.h"

#include "kernels_ref/protocol/fork/cow.h"

namespace faultline::ref::protocol {

namespace {

// --- who waits for a pin ---

Task<void> pin_holder(Kernel k, int) {
  World& w = k.world();
  co_await k.until("RDMA: transfers go on", [&w] { return w.frame[1].pins != 0; });
  int drops = k.with(Variant::pins_are_short);
  if (!drops) drops = co_await k.choose("RDMA: keeps the pin, or drops it", 2);
  if (!drops) co_await k.until("RDMA: registered for as long as the process likes", [] { return 0; });
  unpin_frame(w, 1);
}

Task<void> wait_until_unpinned(Kernel k, int) {
  World& w = k.world();
  co_await k.step("wants the page");
  ++w.count[cpus_waiting];
  co_await k.lock(Lock::page);
  co_await k.until("waits for put_user_page", [&w] { return w.frame[1].pins == 0; });
  k.unlock(Lock::page);
  --w.count[cpus_waiting];
  k.returns();
}

void start_pinned(World& w) {
  map_exclusive(w, 0, 0);
  w.frame[1].pins = 1;
}

// --- a page of a file: frame 1 in the page cache, and its block on disk ---

constexpr int cached = 1, block = max_frames - 1;
constexpr int first_write = 1, second_write = 2;
constexpr int reserved = 1;        // mark: the filesystem has been told of the write (page_mkwrite)
constexpr int written_out = 2;     // mark: writeback wrote the page
constexpr int left_for_pin = 3;    // mark: it left the page, which was pinned
constexpr int left_for_other = 4;  // mark: it left the page for another reference
constexpr int orphaned = 5;        // mark: the device's write went to a page that no file has
constexpr int moved = 6;           // mark: the page was migrated

Task<void> revoke(Kernel k, Invalidation i) {
  Device& d = k.world().device[0];
  if (k.with(Variant::device_pins)) co_return;
  co_await k.lock(Lock::driver, "invalidate: lock(driver)");
  set_seq(k, i);
  d.entry[0] = {};
  co_await k.until("invalidate: the device's TLB is flushed", [&d] { return d.busy == 0; });
  k.unlock(Lock::driver);
}

// A write fault of a shared file mapping: page_mkwrite, then the PTE, and dirty. True: there is a page.
Task<bool> write_fault(Kernel k) {
  World& w = k.world();
  Page& pte = w.mm[0].page[0];
  co_await k.lock(Lock::page, "do_shared_fault: folio_lock");
  const bool there = pte.frame != 0;
  if (there && !pte.writable) {
    w.count[reserved] = 1;
    pte.writable = pte.dirty = 1;
  }
  k.unlock(Lock::page);
  co_return there;
}

// One pass of the driver's fault handler: 1 done, 0 start over, -1 no page there.
Task<int> device_fault(Kernel k) {
  World& w = k.world();
  const int seq = co_await read_begin(k, 0);
  co_await k.read_lock(Lock::mmap_a);
  const bool there = co_await write_fault(k);
  const Page page = w.mm[0].page[0];
  k.read_unlock(Lock::mmap_a);
  if (!there) co_return -1;
  co_await k.lock(Lock::driver);
  const bool again = read_retry(k, 0, seq);
  if (!again) w.device[0].entry[0] = page;
  k.unlock(Lock::driver);
  co_return !again;
}

// A write of the device through its entry. False: it faulted, and there was no page.
Task<bool> device_write(Kernel k, int bits) {
  World& w = k.world();
  Device& d = w.device[0];
  while (true) {
    co_await k.step("device: translate");
    if (d.entry[0].writable) break;
    int fault = 0;
    while (fault == 0) fault = co_await device_fault(k);
    if (fault < 0) co_return false;
  }
  d.busy = d.entry[0].frame;
  co_await k.step("device: the write lands");
  w.memory[d.busy] |= static_cast<std::uint8_t>(bits);
  if (!w.frame[d.busy].mapped && !w.frame[d.busy].refs) w.count[orphaned] = 1;
  d.busy = 0;
  co_return true;
}

Task<void> device(Kernel k, int) {
  World& w = k.world();
  Device& d = w.device[0];
  const bool pins = k.with(Variant::device_pins);
  if (pins) {
    co_await k.read_lock(Lock::mmap_a, "pin_user_pages: mmap_read_lock");
    if (co_await write_fault(k)) d.entry[0] = w.mm[0].page[0];
    if (d.entry[0].frame) ++w.frame[d.entry[0].frame].pins;
    k.read_unlock(Lock::mmap_a);
    if (!d.entry[0].frame) co_return;
  }
  co_await device_write(k, first_write);
  co_await device_write(k, second_write);
  if (pins) {
    co_await k.step("unpin_user_pages_dirty_lock");
    Frame& f = w.frame[d.entry[0].frame];
    if (!k.with(Variant::unpin_does_not_dirty)) {
      f.dirty = 1;
      if (!w.count[reserved]) k.find(Finding::wrong_result);  // dirty, but the filesystem was not told
    }
    unpin_frame(w, d.entry[0].frame);
    d.entry[0] = {};
  }
  k.returns();
}

Task<void> writeback(Kernel k, int) {
  World& w = k.world();
  Page& pte = w.mm[0].page[0];
  Frame& f = w.frame[cached];
  co_await k.step("writeback");
  co_await k.lock(Lock::page);
  // Jerome's test: there should be no reference but the page cache's and the mappings'.
  if (k.with(Variant::writeback_leaves_held_pages) && (f.refs > 1 || f.pins)) {
    w.count[f.pins ? left_for_pin : left_for_other] = 1;
  } else {
    co_await invalidate_range_start(k, 0, 0, 0, revoke);
    co_await k.step("page_mkclean, folio_clear_dirty_for_io");
    f.dirty = 0;
    pte.dirty = pte.writable = 0;
    co_await invalidate_range_end(k, 0);
    co_await k.step("writeback: the page goes to disk");
    w.memory[block] = w.memory[cached];
    w.count[written_out] = 1;
    w.count[reserved] = 0;
  }
  k.unlock(Lock::page);
  k.returns();
}

Task<void> passing_reference(Kernel k, int) {
  World& w = k.world();
  co_await k.step("filemap_get_folio");
  ++w.frame[cached].refs;
  co_await k.step("folio_put");
  --w.frame[cached].refs;
}

void start_file(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].seq = 2;
  map_frame(w, w.mm[0].page[0], cached, true);
  w.mm[0].page[0].dirty = 1;
  w.count[reserved] = 1;
  w.frame[cached].refs = 1;  // the page cache's
  w.subscription[0] = {.in_tree = 1, .seq = 1};
}

void nothing_is_only_in_memory(World& w) {
  const bool dirty = w.frame[cached].dirty || w.mm[0].page[0].dirty;
  if (!dirty && w.memory[cached] != w.memory[block]) w.findings |= bit(Finding::lost_write);
}

std::string what_writeback_did(const World& w) {
  if (w.count[left_for_pin]) return "left a pinned page";
  if (w.count[left_for_other]) return "left a page that nobody had pinned";
  return "written";
}

// --- migration ---

Task<void> compaction(Kernel k, int) {
  World& w = k.world();
  Page& pte = w.mm[0].page[0];
  const int old = cached;
  co_await k.step("migrate_pages");
  co_await k.lock(Lock::page);
  co_await invalidate_range_start(k, 0, 0, 0, revoke);
  co_await k.step("try_to_migrate: migration entry");
  const std::uint8_t dirty = pte.dirty;
  unmap_frame(w, pte);
  co_await invalidate_range_end(k, 0);
  co_await k.step("folio_migrate_mapping: are there other references?");
  const bool others = w.frame[old].refs > 1 || w.frame[old].pins;
  int now = old;
  if (!others || k.with(Variant::migration_ignores_pins)) {
    now = alloc_frame(w, w.memory[old]);
    w.frame[now].refs = 1;
    --w.frame[old].refs;
    w.count[moved] = 1;
  }
  co_await k.step("remove_migration_ptes");
  map_frame(w, pte, now, true);
  pte.dirty = dirty;
  k.unlock(Lock::page);
  k.returns();
}

void both_writes_are_there(World& w) {
  const int held = w.memory[w.mm[0].page[0].frame];
  if (held != (first_write | second_write)) w.findings |= bit(Finding::lost_write);
}

std::string whether_moved(const World& w) { return w.count[moved] ? "moved" : "stayed"; }

// --- truncation ---

Task<void> truncation(Kernel k, int) {
  World& w = k.world();
  Page& pte = w.mm[0].page[0];
  co_await k.step("truncate_inode_pages_range");
  co_await k.lock(Lock::page);
  co_await invalidate_range_start(k, 0, 0, 0, revoke);
  co_await k.step("unmap_mapping_folio: zap the PTE");
  unmap_frame(w, pte);
  co_await invalidate_range_end(k, 0);
  co_await k.step("filemap_remove_folio");
  drop_ref(w, cached);
  k.unlock(Lock::page);
  k.returns();
}

std::string where_the_device_is(const World& w) {
  return w.count[orphaned] ? "on an orphaned page" : "on the file's, or faulted";
}

}  // namespace

Protocol wait_for_pin(int cpus) {
  Protocol p{.name = "CPUs that wait for a pin", .threads = {{"RDMA", pin_holder, 0, true}}, .start = start_pinned};
  for (int i = 0; i < cpus; ++i) p.threads.push_back({"CPU", wait_until_unpinned});
  return p;
}

Protocol writeback_against_device() {
  return {.name = "writeback against a device",
          .threads = {{"device", device}, {"writeback", writeback}, {"reader", passing_reference}},
          .start = start_file,
          .at_end = nothing_is_only_in_memory,
          .outcome = what_writeback_did};
}

Protocol compaction_against_device() {
  return {.name = "compaction against a device",
          .threads = {{"device", device}, {"compaction", compaction}},
          .start = start_file,
          .at_end = both_writes_are_there,
          .outcome = whether_moved};
}

Protocol truncation_against_device() {
  return {.name = "truncation against a device",
          .threads = {{"device", device}, {"truncation", truncation}},
          .start = start_file,
          .outcome = where_the_device_is};
}

}  // namespace faultline::ref::protocol
