// Page frames, page-table entries, stale translations and VMAs: the basic operations from which the other files
// build the kernel functions. Each is atomic; none suspends.
#pragma once

#include <bitset>

#include "kernels_ref/mm/cpu.h"

namespace faultline::ref {

// --- frames ---
// Allocates a frame with no users yet. The caller maps it or takes a reference in the same step. The frame's number follows
// from the address that it is for; otherwise states would differ only in which of two threads allocated first.
struct Address {
  MmId mm = 0;
  Slot slot = 0;
};
FrameId alloc_frame(Cpu cpu, Frame::Kind kind, Contents contents, Address address = {});
// A number that no folio has. It follows from the address too.
std::uint8_t new_folio(Cpu cpu, Address address);
// Frees the frame if nothing refers to it. To be called after a mapcount or a reference went down.
void put_frame(World& world, FrameId frame);
inline void get_ref(World& world, FrameId frame) { ++world.frame[frame].refs; }
void put_ref(World& world, FrameId frame);

// A frame for each page of a request, from the first page on. none: no frame for that page.
using FramesOfRange = std::array<std::uint8_t, limits::spans_per_region>;

// --- page-table entries ---
// Replaces an entry and updates mapcounts. Leaves TLBs alone: see leave_stale and flush.
void set_pte(World& world, MmId mm, Slot slot, Pte pte);
inline Pte page_pte(FrameId frame, bool writable) { return {Pte::Kind::page, static_cast<std::uint8_t>(frame), writable}; }
// Whether the entry is for a page in that device's memory.
inline bool owns(const World& world, const Pte& pte, int device) {
  return pte.kind == Pte::Kind::device && device_of(world.frame[pte.frame].owner) == device;
}
// The old entry may live on in TLBs until flush().
void leave_stale(Cpu cpu, MmId mm, Slot slot, Pte old);
// Flushes the TLBs of an mm for pages [from, to]; returns when every CPU has answered.
void flush(World& world, MmId mm, Slot from, Slot to);

// struct mmu_gather: frames that may have lost their last entry. They are kept until the TLBs are flushed.
using Gather = std::bitset<max_frames>;
// Clears the entry (zap_pte_range for one page), leaves it stale and keeps its frame in the gather.
void zap(Cpu cpu, MmId mm, Slot slot, Gather& gather);
void free_gather(World& world, const Gather& gather);

// --- VMAs ---
// Makes [from, to] begin and end at VMA boundaries (__split_vma).
void split(Cpu cpu, MmId mm, Slot from, Slot to);
// vma_merge for [from, to], which is one VMA, and its neighbours. Kernels merge differently: in how many ways.
int merge_ways(Cpu cpu, MmId mm, Slot from, Slot to);
// Merges it in one of those ways.
void merge(Cpu cpu, MmId mm, Slot from, Slot to, int way);
// The first page of the VMA that holds `slot`.
Slot vma_start(Cpu cpu, MmId mm, Slot slot);
// The last page of that VMA, but not beyond `to`.
Slot vma_end(Cpu cpu, MmId mm, Slot slot, Slot to);
// Removes one page from its VMA, and drops the page's reference to the object.
void drop_vma(World& world, MmId mm, Slot slot);
int new_object(Cpu cpu, int pages);
// anon_vma_prepare: on the first write to a private VMA.
void prepare_anon_vma(Cpu cpu, MmId mm, Slot slot);

// --- locks ---
// mmap_lock for read and write; vma_start_write.
inline bool can_read_lock(const World& w, MmId mm) { return !w.mm[mm].writer; }
inline bool can_write_lock(const World& w, MmId mm) { return !w.mm[mm].writer && !w.mm[mm].readers; }
bool can_start_write(const World& world, MmId mm, Slot from, Slot to);
void start_write(World& world, MmId mm, Slot from, Slot to);
// mmap_write_unlock and mmap_write_downgrade end every vma_start_write.
void write_unlock(World& world, MmId mm);
void downgrade(World& world, MmId mm);
inline void read_unlock(World& w, MmId mm) { --w.mm[mm].readers; }

}  // namespace faultline::ref
