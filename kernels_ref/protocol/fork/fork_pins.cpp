#include "kernels_ref/protocol/fork/fork_pins.h"

#include "kernels_ref/protocol/fork/cow.h"

namespace faultline::ref::protocol {

namespace {

// What pages hold: a bit of the device, one of each process that writes.
constexpr int device_bit = 1, parent_bit = 2;

constexpr Callback no_callback = nullptr;  // these processes have no notifiers

// The device writes the frame for the first process.
void device_writes(Kernel k, int page, int frame) {
  World& w = k.world();
  if (w.mm[0].page[page].frame != frame && w.frame[frame].mapped) k.find(Finding::wrong_page);
  w.memory[frame] |= device_bit;
}

void start(World& w) {
  w.mm[0].users = w.mm[0].count = 1;
  w.mm[0].seq = w.mm[1].seq = 2;
  map_exclusive(w, 0, 0);
}

Task<void> fork_and_write(Kernel k, int) {
  co_await dup_mmap(k, 1, no_callback);
  co_await cpu_store(k, 0, 0, parent_bit, no_callback);
  k.returns();
}

void parent_has_both(World& w) {
  const int held = w.memory[w.mm[0].page[0].frame];
  if (held != (device_bit | parent_bit)) w.findings |= bit(Finding::lost_write);
}

// --- O_DIRECT: a plain reference before 6.5, a pin since ---

Task<void> o_direct(Kernel k, int reads_file) {
  World& w = k.world();
  const int how = (reads_file ? gup_write : gup_read) | (k.with(Variant::pins_are_plain_references) ? gup_get : 0);
  const int frame = co_await get_user_pages_fast(k, 0, 0, how, no_callback);
  co_await k.step("the device's transfer");
  if (reads_file) device_writes(k, 0, frame);
  else k.record().result = {w.memory[frame], w.mm[0].page[0].frame != frame, w.memory[w.mm[0].page[0].frame]};
  how& gup_get ? drop_ref(w, frame) : unpin_frame(w, frame);
  k.returns();
}

std::string what_was_sent(const World& w) {
  const auto& [sent, elsewhere, held, unused] = w.record[1].result;
  return sent == held ? "sent what the process has" : elsewhere ? "sent the old page" : "sent in between";
}

// --- the fork tree: mm 0 is A and mm 1 is C; B is only one more mapping of the page ---

Task<void> a_writes(Kernel k, int) {
  co_await cpu_store(k, 0, 0, parent_bit, no_callback);
  k.returns();
}

Task<void> b_exits(Kernel k, int) {
  World& w = k.world();
  co_await k.step("B: exit");
  Page mapping = w.device[1].entry[0];  // where B's entry is kept
  w.device[1].entry[0] = {};
  unmap_frame(w, mapping);
}

Task<void> c_pins_and_writes(Kernel k, int fast) {
  World& w = k.world();
  int frame = 0;
  if (fast) frame = co_await get_user_pages_fast(k, 1, 0, gup_read, no_callback);
  else frame = co_await get_user_pages(k, 1, 0, gup_read, no_callback);
  co_await cpu_store(k, 1, 0, device_bit, no_callback);
  co_await k.step("C's device reads the pinned page");
  if (w.mm[1].page[0].frame != frame) k.find(Finding::wrong_page);
  k.record().result[0] = w.mm[1].page[0].frame == frame;
  k.returns();
}

void start_tree(World& w) {
  start(w);
  w.mm[0].page[0].writable = 0;
  w.frame[1].exclusive = 0;
  map_frame(w, w.device[1].entry[0], 1, false);
  map_frame(w, w.mm[1].page[0], 1, false);
}

std::string where_the_pin_is(const World& w) { return w.record[2].result[0] ? "on C's page" : "on P0"; }

// --- copies at fork ---

Task<void> fork_two_pages(Kernel k, int) {
  co_await k.until("fork: the pages are pinned", [k] { return k.world().device[0].queued; });
  co_await dup_mmap(k, 2, no_callback);
  k.returns();
}

Task<void> pin_and_write(Kernel k, int pinned) {
  World& w = k.world();
  for (int p = 0; p < pinned; ++p) {
    const int frame = co_await get_user_pages(k, 0, p, gup_write, no_callback);
    k.record().result[p] = static_cast<std::uint8_t>(frame);
  }
  w.device[0].queued = 1;
  for (int p = 0; p < pinned; ++p) {
    co_await k.step("device: writes a pinned page");
    device_writes(k, p, k.record().result[p]);
  }
}

void start_two(World& w) {
  start(w);
  map_exclusive(w, 1, 0);
}

std::string child_has(const World& w) {
  std::string text = "child:";
  for (const Page& page : w.mm[1].page) text += page.frame == 0 ? " hole" : w.memory[page.frame] & device_bit ? " new" : " old";
  return text;
}

// --- GUP-fast ---

Task<void> pin_fast_and_write(Kernel k, int) {
  World& w = k.world();
  const int frame = co_await get_user_pages_fast(k, 0, 0, gup_write, no_callback);
  co_await k.step("device: writes the pinned page");
  device_writes(k, 0, frame);
  unpin_frame(w, frame);
  k.returns();
}

}  // namespace

Protocol o_direct_reads_file() {
  return {.name = "O_DIRECT read of a file across fork",
          .threads = {{"process", fork_and_write}, {"O_DIRECT", o_direct, 1}},
          .start = start,
          .at_end = parent_has_both};
}

Protocol o_direct_writes_file() {
  return {.name = "O_DIRECT write of a file across fork",
          .threads = {{"process", fork_and_write}, {"O_DIRECT", o_direct, 0}},
          .start = start,
          .outcome = what_was_sent};
}

Protocol fork_tree(bool fast) {
  return {.name = "fork tree",
          .threads = {{"A", a_writes}, {"B", b_exits}, {"C", c_pins_and_writes, fast}},
          .start = start_tree,
          .outcome = where_the_pin_is};
}

Protocol pinned_at_fork(int pinned) {
  return {.name = "pinned pages at fork",
          .threads = {{"fork", fork_two_pages}, {"device", pin_and_write, pinned}},
          .start = start_two,
          .outcome = child_has};
}

Protocol gup_fast_against_fork() {
  return {.name = "GUP-fast against fork",
          .threads = {{"process", fork_and_write}, {"GUP-fast", pin_fast_and_write}},
          .start = start,
          .at_end = parent_has_both};
}

}  // namespace faultline::ref::protocol
