// mm/memory.c and mm/gup.c as far as fork and pins go: shared anonymous pages, copied at the next write.
//
// Frames are counted (mapcount, pins, other references); a frame that nobody holds is free. Functions that
// invalidate call `callback` for the subscriptions of the mm.
#pragma once

#include "kernels_ref/protocol/notifiers/mmu_notifier.h"

namespace faultline::ref::protocol {

inline Lock mmap_lock(int mm) { return mm == 0 ? Lock::mmap_a : Lock::mmap_b; }

// A new frame that holds `value`, mapped by nobody yet.
int alloc_frame(World& w, int value);
void map_frame(World& w, Page& pte, int frame, bool writable);
void unmap_frame(World& w, Page& pte);
void drop_ref(World& w, int frame);
void unpin_frame(World& w, int frame);

// Maps a new frame at `page` of the first mm, exclusive and writable.
void map_exclusive(World& w, int page, int value);

// dup_mmap: mm 0 forks into mm 1, both locks taken here; notifier, write-protect, flush.
Task<void> dup_mmap(Kernel k, int pages, Callback callback);
// copy_page_range, with the locks of both held. World::count[copies_in_fork] counts the pages copied.
Task<void> copy_page_range(Kernel k, int pages, Callback callback);
inline constexpr int copies_in_fork = 7;

// do_wp_page: makes the page writable, by reuse or by a copy. Call with the mmap lock held.
Task<void> do_wp_page(Kernel k, int mm, int page, Callback callback);
// A store of the CPU: sets `bits` in the page's contents.
Task<void> cpu_store(Kernel k, int mm, int page, int bits, Callback callback);

// get_user_pages of a page: returns the frame, held until unpin_frame or drop_ref.
enum Gup : int { gup_read = 0, gup_write = 1, gup_get = 2 };  // gup_get: FOLL_GET, a plain reference
Task<int> get_user_pages(Kernel k, int mm, int page, int how, Callback callback);
// pin_user_pages_fast: takes no locks, and falls back to get_user_pages.
Task<int> get_user_pages_fast(Kernel k, int mm, int page, int how, Callback callback);

}  // namespace faultline::ref::protocol
