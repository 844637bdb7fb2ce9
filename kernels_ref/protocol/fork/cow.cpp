#include "kernels_ref/protocol/fork/cow.h"

#include <cstdlib>

namespace faultline::ref::protocol {

namespace {

bool held(const Frame& f) { return f.mapped || f.refs || f.pins; }

// The last holder has gone. (The contents are cleared, so that free frames do not make equal states differ.)
void free_unheld(World& w, int frame) {
  if (held(w.frame[frame])) return;
  w.frame[frame] = {};
  w.memory[frame] = 0;
}

bool same(const Page& pte, const Page& before) { return pte.frame == before.frame && pte.writable == before.writable; }

void grab(World& w, int frame, int how) { ++(how & gup_get ? w.frame[frame].refs : w.frame[frame].pins); }
void let_go(World& w, int frame, int how) { how& gup_get ? drop_ref(w, frame) : unpin_frame(w, frame); }

// gup_must_unshare: a page may be pinned for reading as it is only if it is exclusive.
bool must_unshare(const Kernel& k, int frame, int how) {
  if (k.with(Variant::read_pin_takes_shared)) return false;
  return (how & gup_get) == 0 && !k.world().frame[frame].exclusive;
}

// wp_page_copy. It begins in the step that has looked at the PTE. `writable` is false if the copy shall only
// end the sharing (FAULT_FLAG_UNSHARE).
Task<void> copy_page(Kernel k, int mm, int page, bool writable, Callback callback) {
  World& w = k.world();
  Page& pte = w.mm[mm].page[page];
  const Page old = pte;
  ++w.frame[old.frame].refs;
  co_await k.step("wp_page_copy: copy");
  const int copy = alloc_frame(w, w.memory[old.frame]);
  ++w.frame[copy].refs;
  co_await invalidate_range_start(k, mm, page, page, callback);
  co_await k.step("wp_page_copy: set the PTE");
  if (same(pte, old)) {
    unmap_frame(w, pte);
    map_frame(w, pte, copy, writable);
    w.frame[copy].exclusive = 1;
  }
  drop_ref(w, copy);
  drop_ref(w, old.frame);
  co_await invalidate_range_end(k, mm);
}

}  // namespace

int alloc_frame(World& w, int value) {
  for (int f = 1; f < max_frames; ++f) {
    if (held(w.frame[f])) continue;
    w.memory[f] = static_cast<std::uint8_t>(value);
    return f;
  }
  std::abort();  // the protocol needs a larger max_frames
}

void map_frame(World& w, Page& pte, int frame, bool writable) {
  pte = {static_cast<std::uint8_t>(frame), writable};
  ++w.frame[frame].mapped;
}

void unmap_frame(World& w, Page& pte) {
  const int frame = pte.frame;
  pte = {};
  --w.frame[frame].mapped;
  free_unheld(w, frame);
}

void drop_ref(World& w, int frame) {
  --w.frame[frame].refs;
  free_unheld(w, frame);
}

void unpin_frame(World& w, int frame) {
  --w.frame[frame].pins;
  free_unheld(w, frame);
}

void map_exclusive(World& w, int page, int value) {
  const int frame = alloc_frame(w, value);
  map_frame(w, w.mm[0].page[page], frame, true);
  w.frame[frame].exclusive = 1;
}

Task<void> copy_page_range(Kernel k, int pages, Callback callback) {
  World& w = k.world();
  co_await invalidate_range_start(k, 0, 0, pages - 1, callback);
  co_await k.step("copy_page_range: write_protect_seq, odd");
  ++w.mm[0].write_protect_seq;
  for (int p = 0; p < pages; ++p) {
    Page& pte = w.mm[0].page[p];
    // GUP-fast takes no lock: it may pin between the two steps.
    co_await k.step("copy_present_ptes: maybe pinned?");
    if (w.frame[pte.frame].pins && w.frame[pte.frame].exclusive && !k.with(Variant::fork_shares_pinned)) {
      co_await k.step("copy_present_page: copy");
      const int copy = alloc_frame(w, w.memory[pte.frame]);
      map_frame(w, w.mm[1].page[p], copy, true);
      w.frame[copy].exclusive = 1;
      ++w.count[copies_in_fork];
    } else {
      co_await k.step("copy_present_ptes: write-protect");
      pte.writable = 0;
      w.frame[pte.frame].exclusive = 0;
      map_frame(w, w.mm[1].page[p], pte.frame, false);
    }
  }
  co_await k.step("copy_page_range: write_protect_seq, even");
  ++w.mm[0].write_protect_seq;
  co_await invalidate_range_end(k, 0);
}

Task<void> dup_mmap(Kernel k, int pages, Callback callback) {
  co_await k.step("dup_mmap");  // from here on the thread is a waiting writer and keeps readers out
  co_await k.lock(Lock::mmap_a, "dup_mmap: mmap_write_lock");
  co_await k.lock(Lock::mmap_b, "dup_mmap: mmap_write_lock of the child");
  // VM_DONTFORK: no notifier is called, and nothing is write-protected.
  if (!k.with(Variant::madv_dontfork)) co_await copy_page_range(k, pages, callback);
  k.unlock(Lock::mmap_b);
  k.unlock(Lock::mmap_a);
}

Task<void> do_wp_page(Kernel k, int mm, int page, Callback callback) {
  World& w = k.world();
  k.needs(mmap_lock(mm));
  co_await k.step("do_wp_page");
  Page& pte = w.mm[mm].page[page];
  Frame& f = w.frame[pte.frame];
  if (pte.writable) co_return;
  const bool alone = f.mapped == 1 && ((!f.refs && !f.pins) || k.with(Variant::reuse_by_mapcount));
  if (f.exclusive || alone) {
    f.exclusive = 1;
    pte.writable = 1;
    co_return;
  }
  co_await copy_page(k, mm, page, true, callback);
}

Task<void> cpu_store(Kernel k, int mm, int page, int bits, Callback callback) {
  World& w = k.world();
  while (true) {  // a fork between fault and store write-protects again: at most once for each fork
    co_await k.step("store");
    const Page pte = w.mm[mm].page[page];
    if (pte.writable) {
      w.memory[pte.frame] |= static_cast<std::uint8_t>(bits);
      co_return;
    }
    co_await k.read_lock(mmap_lock(mm));
    co_await do_wp_page(k, mm, page, callback);
    k.read_unlock(mmap_lock(mm));
  }
}

Task<int> get_user_pages(Kernel k, int mm, int page, int how, Callback callback) {
  World& w = k.world();
  const bool writes = how & gup_write || k.with(Variant::read_pin_breaks_cow);
  co_await k.read_lock(mmap_lock(mm));
  while (true) {  // at most twice: nobody write-protects while the lock is held
    co_await k.step("follow_page_pte");
    const Page pte = w.mm[mm].page[page];
    if (writes ? !pte.writable : must_unshare(k, pte.frame, how)) {
      if (writes) co_await do_wp_page(k, mm, page, callback);
      else co_await copy_page(k, mm, page, false, callback);
      continue;
    }
    grab(w, pte.frame, how);
    k.read_unlock(mmap_lock(mm));
    co_return pte.frame;
  }
}

Task<int> get_user_pages_fast(Kernel k, int mm, int page, int how, Callback callback) {
  World& w = k.world();
  const bool watches = !k.with(Variant::gup_fast_ignores_seq);
  co_await k.step("gup_fast: write_protect_seq");
  const int seq = w.mm[mm].write_protect_seq;
  co_await k.step("gup_fast_pte_range: read the PTE");
  const Page pte = w.mm[mm].page[page];
  const bool writes = how & gup_write || (k.with(Variant::read_pin_breaks_cow) && !k.with(Variant::gup_fast_takes_shared));
  const bool as_it_is = k.with(Variant::gup_fast_takes_shared) || !must_unshare(k, pte.frame, how);
  if ((watches && seq & 1) || (writes ? !pte.writable : !as_it_is)) co_return co_await get_user_pages(k, mm, page, how, callback);
  co_await k.step("gup_fast_pte_range: try_grab_folio");
  grab(w, pte.frame, how);
  co_await k.step("gup_fast_pte_range: is the PTE the same?");
  bool good = same(w.mm[mm].page[page], pte);
  if (good && watches) {
    co_await k.step("gup_fast: write_protect_seq again");
    good = w.mm[mm].write_protect_seq == seq;
  }
  if (good) co_return pte.frame;
  let_go(w, pte.frame, how);
  co_return co_await get_user_pages(k, mm, page, how, callback);
}

}  // namespace faultline::ref::protocol
