#include "kernels_ref/drivers/amdkfd/ranges.h"

#include <algorithm>
#include <string_view>

#include "kernels_ref/drivers/amdkfd/prediction.h"

namespace faultline::ref {

namespace {

constexpr std::string_view letters = "DSUERF";  // told as 1, 2, ...
constexpr int letter_bits = 3;
// CPU and GPU may take a page from each other for ever. So only this many letters are kept.
constexpr int most_letters = 16;
constexpr std::uint64_t more = std::uint64_t{1} << 63;

// The pages of one notifier: a range, and what was cut off it and waits for the deferred work.
Slot notifier_first(const Svms& svms, Slot slot) {
  while (!svms.page[slot].notifier) --slot;
  return slot;
}
Slot notifier_last(Cpu cpu, const Svms& svms, Slot slot) {
  while (slot + 1 < cpu.shape->slots() && svms.page[slot + 1].in && !svms.page[slot + 1].notifier) ++slot;
  return slot;
}

bool has_entries(Cpu cpu, MmId mm, Slot from, Slot to) {
  const auto& entry = cpu.world().mirror[mirror_id(0, mm)].entry;
  return reaches_ranges(cpu) &&
         std::any_of(entry.begin() + from, entry.begin() + to + 1, [](const DeviceEntry& each) { return each.valid(); });
}

// svm_range_unmap_from_gpus, inside one range.
void unmap_from_gpus(Cpu cpu, MmId mm, Slot from, Slot to) {
  Svms& svms = cpu.world().svms[mm];
  const Slot first = range_first(svms, from), last = range_last(*cpu.shape, svms, from);
  const bool has = has_entries(cpu, mm, from, to);
  if (!svms.page[first].mapped) {
    if (has) cpu.meets(svms.late ? MetBug::late_mapping : MetBug::kept_entry);
    return;
  }
  auto& entry = cpu.world().mirror[mirror_id(0, mm)].entry;
  if (has && cpu.on(Rule::kfd_unmap_clears_entries)) std::fill(entry.begin() + from, entry.begin() + to + 1, DeviceEntry{});
  if (first == from && last == to) each_page(svms, first, last, [](SvmPage& page) { page.mapped = 0; });
  if (cpu.on(Rule::kfd_tells_unmaps)) tell(cpu, mm, from, to, 'U');
}

// svm_range_unmap_split. The piece behind the hole is a new range, which the restore worker does not map.
void unmap_split(Cpu cpu, Svms& svms, Slot from, Slot to) {
  const Slot first = range_first(svms, from), last = range_last(*cpu.shape, svms, from);
  if (svms.page[from].gone) return;
  split_range(svms, from);
  if (to < last) split_range(svms, to + 1);
  each_page(svms, from, to, [](SvmPage& page) { page.gone = 1, page.invalid = 0; });
  for (SvmPage& page : svms.page) page.repeats = 0;  // drain_pagefaults
  if (first < from && to < last) each_page(svms, to + 1, last, [](SvmPage& page) { page.invalid = 0; });
  svms.deferred = 1;
}

// svm_range_evict without recoverable faults: stops the queues. The restore worker then maps what has changed.
void evict(Cpu cpu, MmId mm, Slot from, Slot to) {
  Svms& svms = cpu.world().svms[mm];
  const Slot first = notifier_first(svms, from), last = notifier_last(cpu, svms, from);
  const auto mapped = [](const SvmPage& page) { return page.mapped; };
  if (std::none_of(svms.page.begin() + first, svms.page.begin() + last + 1, mapped)) {
    if (has_entries(cpu, mm, from, to)) cpu.meets(svms.late ? MetBug::late_mapping : MetBug::kept_entry);
    return;
  }
  for (Slot s = from; s <= to; s = range_last(*cpu.shape, svms, s) + 1)
    if (svms.page[s].mapped)
      each_page(svms, range_first(svms, s), range_last(*cpu.shape, svms, s), [](SvmPage& page) { page.invalid = 1; });
  if (svms.evicted) {
    svms.evicted_again = 1;
    return;
  }
  svms.evicted = 1;
  svms.failed = 0;
  if (cpu.on(Rule::kfd_stops_queues)) tell(cpu, mm, 0, cpu.shape->slots() - 1, 'E');
}

}  // namespace

void tell(Cpu cpu, MmId mm, Slot from, Slot to, char letter) {
  World& w = cpu.world();
  const auto& observes = cpu.shape->program->observes;
  for (std::size_t i = 0; i < observes.size(); ++i) {
    const Observe& observe = observes[i];
    const Slot slot = cpu.shape->spans.of(observe.cell);
    if (observe.kind != Observe::Kind::events || observe.process != mm || slot < from || slot > to) continue;
    // These two may repeat: pages that were left move with a later attempt, and the device faults until its entry is there.
    const std::uint64_t code = letters.find(letter) + 1;
    if ((letter == 'S' || letter == 'F') && (w.told[i] & 7) == code) continue;
    if (w.told[i] >> letter_bits * (most_letters - 1)) {
      w.told[i] |= more;
      continue;
    }
    w.told[i] = w.told[i] << letter_bits | code;
  }
}

void forget_events(Cpu cpu, MmId mm) {
  const auto& observes = cpu.shape->program->observes;
  for (std::size_t i = 0; i < observes.size(); ++i)
    if (observes[i].process == mm) cpu.world().told[i] = 0;
}

std::string told_text(const World& world, int observe) {
  std::string text;
  for (std::uint64_t told = world.told[observe] & ~more; told; told >>= letter_bits) text += letters[(told & 7) - 1];
  std::reverse(text.begin(), text.end());
  return world.told[observe] & more ? text + "*" : text;
}

Slot range_first(const Svms& svms, Slot slot) {
  while (!svms.page[slot].head) --slot;
  return slot;
}

Slot range_last(const Shape& shape, const Svms& svms, Slot slot) {
  while (slot + 1 < shape.slots() && svms.page[slot + 1].in && !svms.page[slot + 1].head) ++slot;
  return slot;
}

void split_range(Svms& svms, Slot slot) {
  if (svms.page[slot].in) svms.page[slot].head = 1;
}

void svm_invalidate(Cpu cpu, MmId mm, Slot from, Slot to, Notify event) {
  Svms& svms = cpu.world().svms[mm];
  for (Slot s = from; s <= to; ++s) {
    if (!svms.page[s].in) continue;
    const Slot last = std::min(to, notifier_last(cpu, svms, s));
    // mmu_interval_set_seq
    if (svms.validating != none && notifier_first(svms, s) == notifier_first(svms, svms.validating)) svms.collided = 1;
    if (event != Notify::unmap && !xnack_enabled(cpu)) evict(cpu, mm, s, last);
    for (Slot p = s; p <= last; p = range_last(*cpu.shape, svms, p) + 1) {
      const Slot end = std::min(last, range_last(*cpu.shape, svms, p));
      const bool unmaps = event == Notify::unmap ? cpu.on(Rule::kfd_unmaps_at_munmap) : xnack_enabled(cpu);
      if (unmaps) unmap_from_gpus(cpu, mm, p, end);
      if (event == Notify::unmap) unmap_split(cpu, svms, p, end);
    }
    s = last;
  }
}

void svm_deferred_list_work(Cpu cpu, MmId mm) {
  Svms& svms = cpu.world().svms[mm];
  for (Slot s = 0; s < cpu.shape->slots(); ++s) {
    SvmPage& page = svms.page[s];
    if (page.gone) page = {};
    page.notifier = page.head;
  }
  svms.deferred = 0;
}

}  // namespace faultline::ref
