#include "kernels_ref/mm/filemap.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "kernels_ref/mm/mmap.h"

namespace faultline::ref {

namespace {

bool beyond_end(Cpu cpu, const VmaPage& vma) {
  return vma.pgoff >= cpu.world().object[vma.object].size && cpu.on(Rule::fault_checks_size);
}

constexpr int fault_around_pages = 16;  // fault_around_bytes: 64 KiB

int window(const Shape& shape, Slot slot) { return shape.spans.first(slot).page / fault_around_pages; }

std::uint8_t& cached_page(World& w, const VmaPage& vma) { return w.object[vma.object].frame[vma.pgoff]; }

}  // namespace

bool reaches_around(const Shape& shape, const World& world, MmId mm, Slot slot) {
  const auto& vma = world.mm[mm].vma;
  const HugePage huge = huge_page_of(shape, slot);
  for (Slot s = huge.first; s <= huge.last; ++s)
    if (window(shape, s) == window(shape, slot) && vma[s].object == vma[slot].object &&
        vma[s].pgoff < world.object[vma[s].object].size)
      return true;
  return false;
}

bool caches_huge(const World& w, MmId mm, HugePage huge) {
  std::uint8_t folio = 0;
  for (Slot s = huge.first; s <= huge.last; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    const FrameId page = w.object[vma.object].frame[vma.pgoff];
    if (page == none || !w.frame[page].folio || (folio && w.frame[page].folio != folio)) return false;
    folio = w.frame[page].folio;
  }
  return true;
}

void map_huge_page(Cpu cpu, MmId mm, HugePage huge, bool writable) {
  World& w = cpu.world();
  for (Slot s = huge.first; s <= huge.last; ++s) {
    Pte pte = page_pte(cached_page(w, w.mm[mm].vma[s]), writable);
    pte.protnone = !w.mm[mm].vma[s].accessible();
    pte.huge = 1;
    set_pte(w, mm, s, pte);
  }
}

namespace {

bool page_locked(const World& w, FrameId page) { return page != none && w.frame[page].locked; }

// Whether another thread may hold the lock of a page for a moment: its own fault may be under way. Which file it faults on is not asked.
bool others_may_lock(Cpu cpu) {
  for (std::size_t t = 0; t < cpu.shape->program->threads.size(); ++t) {
    const Thread& thread = cpu.shape->program->threads[t];
    const ThreadState& state = cpu.world().thread[t];
    if (static_cast<std::int64_t>(t) == cpu.thread || state.life != ThreadState::Life::running ||
        state.next >= thread.statements.size())
      continue;
    const Operation& operation = thread.statements[state.next].operation;
    if (!std::holds_alternative<op::Barrier>(operation) && !std::holds_alternative<op::Wait>(operation)) return true;
  }
  return false;
}

// filemap_map_pages: maps the page, and the pages around it that are in the page cache and need no waiting. (If
// some statement cuts files, the fault itself maps its own page, so that it can come too late.)
Task<void> map_around(Cpu cpu, MmId mm, Slot slot, bool writable) {
  World& w = cpu.world();
  const Slot last = vma_end(cpu, mm, slot, cpu.shape->slots() - 1);
  bool first = true;
  for (Slot s = vma_start(cpu, mm, slot); s <= last; ++s) {
    if (window(*cpu.shape, s) != window(*cpu.shape, slot)) continue;
    const VmaPage& vma = w.mm[mm].vma[s];
    if (s != slot && cached_page(w, vma) != none && w.mm[mm].pte[s].kind == Pte::Kind::none && others_may_lock(cpu)) {
      const int skips = co_await cpu.choose("next_uptodate_page: folio_trylock", 2);
      if (skips) continue;
    }
    const FrameId page = cached_page(w, vma);
    if (page == none || page_locked(w, page) || w.frame[page].dropped) continue;
    if (beyond_end(cpu, vma)) {  // may be mapped if it is in a huge page that begins before the end
      if (!w.frame[page].folio || !reaches_around(*cpu.shape, w, mm, s)) continue;
      const int maps = co_await cpu.choose("filemap_map_folio_range: beyond i_size", 2);
      if (!maps) continue;
    }
    // If the page table is missing, kernels since 6.18 make none just for the last page of a file on a disk.
    const bool only_last = first && vma.pgoff + 1 == w.object[vma.object].size;
    first = false;
    if (s != slot && only_last && cpu.shape->on_disk[vma.object]) {
      const int ends = co_await cpu.choose("filemap_map_pages: filemap_map_pmd", 2);
      if (ends) co_return;
    }
    if (w.mm[mm].pte[s].kind == Pte::Kind::none && !(s == slot && cpu.shape->cuts_files))
      set_pte(w, mm, s, page_pte(page, writable));
  }
}

// page_cache_ra_unbounded: reads all of the file.
void read_all(Cpu cpu, int object) {
  World& w = cpu.world();
  for (int p = 0; p < w.object[object].size; ++p) {
    std::uint8_t& page = w.object[object].frame[p];
    if (page != none) {
      w.frame[page].dropped = 0;
      continue;
    }
    page = static_cast<std::uint8_t>(alloc_frame(cpu, Frame::Kind::shared, {}));
    get_ref(w, page);
  }
}

// filemap_map_pmd, do_set_pmd: maps a huge page of the page cache, if a PMD fits.
Task<bool> map_huge(Cpu cpu, MmId mm, Slot slot, bool writable) {
  World& w = cpu.world();
  if (!cpu.shape->huge_pages) co_return false;
  const HugePage huge = huge_page_of(*cpu.shape, slot);
  const auto fits = [cpu, &w, mm, huge] {
    return pmd_fits(*cpu.shape, w, mm, huge) && pmd_none(w, mm, huge) && caches_huge(w, mm, huge);
  };
  if (!fits()) co_return false;
  const int maps = co_await cpu.choose("do_set_pmd", 2);
  if (!maps || !fits()) co_return false;
  map_huge_page(cpu, mm, huge, writable);
  co_return true;
}

enum ReadAround { nothing, reads, starts_over };  // outside the coroutine: inside, g++ 12 may crash

// do_sync_mmap_readahead, when a page was not in memory. It may read all of the file, or nothing if readahead
// has missed too often. filemap_fault may then start over, and a read fault maps the pages around.
Task<void> read_around(Cpu cpu, MmId mm, Slot slot, bool write, bool writable) {
  World& w = cpu.world();
  const int object = w.mm[mm].vma[slot].object;
  const int way = co_await cpu.choose("filemap_fault: do_sync_mmap_readahead", write ? 2 : 3);
  if (way == nothing) co_return;
  read_all(cpu, object);
  if (way == starts_over) co_await map_around(cpu, mm, slot, writable);
}

}  // namespace

Task<Fault> fault_object(Cpu cpu, MmId mm, Slot slot, bool write) {
  World& w = cpu.world();
  const VmaPage& vma = w.mm[mm].vma[slot];
  std::uint8_t& cached = cached_page(w, vma);
  // vma_wants_writenotify: for a file on a disk the first store takes a fault of its own (page_mkwrite).
  bool writable = vma.write && !vma.is_private();
  if (write && vma.is_private()) prepare_anon_vma(cpu, mm, slot);
  else if (write ? !beyond_end(cpu, vma) : reaches_around(*cpu.shape, w, mm, slot)) {
    const bool mapped = co_await map_huge(cpu, mm, slot, writable);
    if (mapped) co_return Fault::done;
  }
  if (!write) {
    if (writable && cpu.shape->tracks_dirty[vma.object]) writable = co_await cpu.choose("do_read_fault: vm_page_prot", 2) == 0;
    co_await map_around(cpu, mm, slot, writable);
    if (w.mm[mm].pte[slot].kind != Pte::Kind::none) co_return Fault::done;
  }
  if (beyond_end(cpu, vma)) co_return Fault::sigbus;
  // The page is looked up and locked only now. A truncation may have unmapped its range before, and this maps it again.
  if (cpu.shape->cuts_files || page_locked(w, cached))
    co_await cpu.until("__do_fault: lock_page", [&w, &cached] { return !page_locked(w, cached); });
  if (w.mm[mm].pte[slot].kind != Pte::Kind::none) co_return Fault::done;
  if (cached == none && beyond_end(cpu, vma)) co_return Fault::sigbus;
  FrameId page = cached;
  if (page != none && w.frame[page].dropped) {
    w.frame[page].dropped = 0;
    if (cpu.shape->on_disk[vma.object]) co_await read_around(cpu, mm, slot, write, writable);
  }
  if (page == none || (!vma.is_private() && !cpu.on(Rule::shared_fault_uses_cache))) {
    page = alloc_frame(cpu, Frame::Kind::shared, {}, {mm, slot});
    if (cached == none) {
      cached = static_cast<std::uint8_t>(page);
      get_ref(w, page);
      if (cpu.shape->on_disk[vma.object]) co_await read_around(cpu, mm, slot, write, writable);
    }
  }
  if (write && vma.is_private()) {  // do_cow_fault
    const Contents contents = cpu.on(Rule::cow_fault_copies) ? w.frame[page].contents : Contents{};
    const FrameId copy = alloc_frame(cpu, Frame::Kind::anon, contents, {mm, slot});
    w.frame[copy].exclusive = 1;
    set_pte(w, mm, slot, page_pte(copy, true));
    co_return Fault::done;
  }
  set_pte(w, mm, slot, page_pte(page, writable));
  co_return Fault::done;
}

Task<void> lock_i_mmap(Cpu cpu, int object) {
  if (!cpu.shape->cuts_files) co_return;
  co_await cpu.until("i_mmap_lock_write", [cpu, object] { return !cpu.world().object[object].walked; });
}

namespace {

// Pages [from, to] of one VMA.
struct Piece {
  MmId mm = 0;
  Slot from = 0, to = -1;
};

using Done = std::array<std::uint32_t, max_mms>;  // a bit for each slot
static_assert(max_slots <= 32);

// The next piece of `mm` that maps pages [first, last]. The order is where the VMAs begin in the object.
Piece next_piece(Cpu cpu, MmId mm, int object, int first, int last, const Done& done) {
  const auto& vma = cpu.world().mm[mm].vma;
  Piece next{.mm = mm};
  for (Slot s = 0; s < cpu.shape->slots(); ++s) {
    if (vma[s].object != object || vma[s].pgoff < first || vma[s].pgoff > last || done[mm] >> s & 1) continue;
    const Slot end = vma_end(cpu, mm, s, cpu.shape->slots() - 1);
    const Slot to = std::min(end, s + last - vma[s].pgoff);
    const auto begins = [&](Slot at) { return vma[vma_start(cpu, mm, at)].pgoff; };
    if (next.to < 0 || begins(s) < begins(next.from)) next = {mm, s, to};
    s = end;
  }
  return next;
}

// The next piece of the `way`-th process that has one left. If there are fewer, the second is how many there
// are. (The i_mmap tree is ordered by first page and then by age. Kernels differ in the age of VMAs that were
// split, so any process may come first.)
std::pair<Piece, int> nth_piece(Cpu cpu, int object, int first, int last, const Done& done, int way) {
  int ways = 0;
  for (MmId mm = 0; mm < max_mms; ++mm) {
    const Piece piece = next_piece(cpu, mm, object, first, last, done);
    if (piece.to >= 0 && ways++ == way) return {piece, way};
  }
  return {{}, ways};
}

// unmap_mapping_range: zap_page_range_single for each VMA that maps pages [first, last].
Task<void> unmap_mapping_range(Cpu cpu, int object, int first, int last, bool even_cows) {
  World& w = cpu.world();
  if (!cpu.on(Rule::truncate_unmaps) || first > last) co_return;
  Done done{};
  ++w.object[object].walked;
  while (true) {
    int way = 0;
    if (nth_piece(cpu, object, first, last, done, -1).second > 1)
      way = co_await cpu.until("unmap_mapping_range_tree", [cpu, object, first, last, &done] {
        return std::max(1, nth_piece(cpu, object, first, last, done, -1).second);
      });
    const Piece piece = nth_piece(cpu, object, first, last, done, way).first;
    if (piece.to < 0) break;
    for (Slot s = piece.from; s <= piece.to; ++s) done[piece.mm] |= 1u << s;
    Gather gather;
    co_await unmap_pages(cpu, piece.mm, piece.from, piece.to, Rule::truncate_notifies, &gather, even_cows);
    co_await finish(cpu, piece.mm, piece.from, piece.to, &gather, Rule::truncate_flushes);
  }
  --w.object[object].walked;
}

}  // namespace

void unmap_everywhere(Cpu cpu, FrameId page) {
  World& w = cpu.world();
  for (MmId m = 0; m < max_mms; ++m)
    for (Slot s = 0; s < cpu.shape->slots(); ++s) {
      if (w.mm[m].pte[s].frame != page) continue;
      split_huge_pmd(cpu, m, s);
      invalidate_now(cpu, m, s, s);
      set_pte(w, m, s, {});
      flush(w, m, s, s);
    }
}

namespace {

// truncate_inode_partial_folio: splits a large folio that lies across an end of pages [first, last], and so unmaps all of
// it. For a file on a disk, readahead and the file system decide which pages share a folio; for a file in memory,
// MADV_COLLAPSE does. If somebody holds the folio it stays, with zeroes where it was cut. Returns the pages that stay, a bit
// each.
Task<std::uint32_t> split_at_ends(Cpu cpu, int object, int first, int last) {
  World& w = cpu.world();
  const Object& inode = w.object[object];
  if (first > last) co_return 0;
  std::uint32_t stay = 0;
  for (int p = first; p <= last; ++p) {
    const FrameId page = inode.frame[p];
    if (page == none || !w.frame[page].folio) continue;
    const std::uint8_t folio = w.frame[page].folio;
    const auto outside = [&](int q) {
      return inode.frame[q] != none && w.frame[inode.frame[q]].folio == folio && (q < first || q > last);
    };
    bool partial = false;
    for (int q = 0; q < static_cast<int>(inode.frame.size()); ++q) partial = partial || outside(q);
    if (!partial) continue;
    for (int q = first; q <= last; ++q)
      if (inode.frame[q] != none && w.frame[inode.frame[q]].folio == folio) w.frame[inode.frame[q]].contents = {};
    const int fails = co_await cpu.choose("truncate_inode_partial_folio: split_folio", 2);
    if (fails || folio_held(w, page)) {
      for (int q = first; q <= last; ++q)
        if (inode.frame[q] != none && w.frame[inode.frame[q]].folio == folio) stay |= 1u << q;
      p = last;
    } else {
      for (int q = 0; q < static_cast<int>(inode.frame.size()); ++q)
        if (outside(q)) unmap_everywhere(cpu, inode.frame[q]);
      split_huge_page(cpu, page);
    }
  }
  if (!cpu.shape->on_disk[object]) co_return stay;
  const int below = co_await cpu.choose("truncate_inode_partial_folio: split_folio", first + 1);
  const int above = co_await cpu.choose("truncate_inode_partial_folio: split_folio", std::max(1, inode.size - last));
  for (int p = first - below; p <= last + above; ++p)
    if ((p < first || p > last) && inode.frame[p] != none) unmap_everywhere(cpu, inode.frame[p]);
  co_return stay;
}

// truncate_inode_folio: removes each page, under its lock, from the page cache and from wherever a fault has
// mapped it meanwhile. Pages in `stay` are left.
Task<void> remove_pages(Cpu cpu, int object, int first, int last, std::uint32_t stay) {
  World& w = cpu.world();
  for (int p = first; p <= last; ++p) {
    std::uint8_t& cached = w.object[object].frame[p];
    if (cached == none || stay >> p & 1) continue;
    co_await cpu.until("truncate_inode_folio", [&w, &cached] { return !page_locked(w, cached); });
    const FrameId page = std::exchange(cached, none);
    if (cpu.on(Rule::truncate_unmaps)) unmap_everywhere(cpu, page);
    put_ref(w, page);
  }
}

Task<void> lock_inode(Cpu cpu, int object) {
  co_await cpu.until("inode_lock", [cpu, object] { return !cpu.world().object[object].locked; });
  cpu.world().object[object].locked = 1;
}

}  // namespace

Task<Result> sys_truncate(Cpu cpu, int object, int pages) {
  Object& inode = cpu.world().object[object];
  co_await lock_inode(cpu, object);
  // A huge page may reach beyond the end.
  const int last = cpu.shape->huge_pages && pages <= inode.size ? static_cast<int>(inode.frame.size()) - 1 : inode.size - 1;
  inode.size = static_cast<std::uint8_t>(pages);
  co_await unmap_mapping_range(cpu, object, pages, last, true);
  const std::uint32_t stay = co_await split_at_ends(cpu, object, pages, last);
  co_await remove_pages(cpu, object, pages, last, stay);
  // Once more: a private mapping may have copied a page before the page left the cache (truncate_pagecache).
  if (cpu.on(Rule::truncate_unmaps_twice)) co_await unmap_mapping_range(cpu, object, pages, last, true);
  inode.locked = 0;
  co_return ok();
}

Task<void> punch_hole(Cpu cpu, int object, int first, int last) {
  co_await lock_inode(cpu, object);
  co_await unmap_mapping_range(cpu, object, first, last, !cpu.on(Rule::hole_keeps_copies));
  const std::uint32_t stay = co_await split_at_ends(cpu, object, first, last);
  co_await remove_pages(cpu, object, first, last, stay);
  cpu.world().object[object].locked = 0;
}

namespace {

// folio_mkclean: makes every mapping of the page read-only, so that the next store faults.
Task<void> page_mkclean(Cpu cpu, FrameId page) {
  World& w = cpu.world();
  for (MmId m = 0; m < max_mms; ++m)
    for (Slot s = 0; s < cpu.shape->slots(); ++s) {
      if (w.mm[m].pte[s].frame != page || !w.mm[m].pte[s].writable) continue;
      co_await invalidate_start(cpu, m, s, s, Notify::protection_page);
      co_await cpu.step("page_vma_mkclean_one");
      if (w.mm[m].pte[s].frame == page) w.mm[m].pte[s].writable = 0;
      flush(w, m, s, s);
      co_await invalidate_end(cpu, m);
    }
}

}  // namespace

Task<Result> sys_msync(Cpu cpu, Slot from, Slot to) {
  const MmId mm = cpu.process();
  World& w = cpu.world();
  co_await read_lock(cpu, mm);
  Result result = ok();
  for (Slot s = from; s <= to; ++s) {
    const VmaPage& vma = w.mm[mm].vma[s];
    if (!vma.mapped()) result = failed(ENOMEM);
    if (!vma.mapped() || vma.is_private() || !cpu.shape->tracks_dirty[vma.object]) continue;
    const FrameId page = cached_page(w, vma);
    if (page == none) continue;
    const int syncs = co_await cpu.choose("vfs_fsync_range", 2);
    if (!syncs) continue;
    read_unlock(w, mm);
    co_await page_mkclean(cpu, page);
    co_await read_lock(cpu, mm);
  }
  read_unlock(w, mm);
  co_return result;
}

}  // namespace faultline::ref
