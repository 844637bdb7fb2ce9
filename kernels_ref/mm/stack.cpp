#include "kernels_ref/mm/stack.h"

namespace faultline::ref {

namespace {

// In pages. stack_limit is RLIMIT_STACK as the executor sets it. The gap between two regions is larger.
constexpr int stack_guard_gap = 256;
constexpr int stack_limit = 2048;

bool dropped(const Shape& shape, Rule rule) { return shape.dropped[static_cast<int>(rule)]; }

}  // namespace

Slot stack_above(const Shape& shape, const World& world, MmId mm, Slot slot) {
  const auto& vma = world.mm[mm].vma;
  if (vma[slot].mapped() || dropped(shape, Rule::stack_grows)) return -1;
  Slot above = slot, below = slot;
  while (above < shape.slots() && !vma[above].mapped()) ++above;
  if (above == shape.slots() || !vma[above].growsdown) return -1;
  while (below >= 0 && !vma[below].mapped()) below = shape.before(below);
  const bool too_close = below >= 0 && !vma[below].growsdown && vma[below].accessible() &&
                         shape.page(slot) - shape.page_behind(below) < stack_guard_gap;
  return too_close && !dropped(shape, Rule::stack_keeps_gap) ? -1 : above;
}

bool fits_stack(const Shape& shape, const World& world, MmId mm, Slot stack, Slot slot) {
  if (shape.region(stack) != shape.region(slot)) return false;
  const auto& vma = world.mm[mm].vma;
  Slot last = stack;
  for (Slot s = shape.after(last); s >= 0 && vma[s].mapped() && !vma[s].head; s = shape.after(s)) last = s;
  return shape.page_behind(last) - shape.page(slot) <= stack_limit;
}

bool expand_stack(Cpu cpu, MmId mm, Slot slot) {
  auto& vma = cpu.world().mm[mm].vma;
  const Slot first = stack_above(*cpu.shape, cpu.world(), mm, slot);
  if (first < 0) return false;
  prepare_anon_vma(cpu, mm, first);
  if (!fits_stack(*cpu.shape, cpu.world(), mm, first, slot)) return false;
  for (Slot s = slot; s < first; ++s) {
    vma[s] = vma[first];
    vma[s].pgoff = static_cast<std::uint8_t>(vma[first].pgoff - (first - s));
    vma[s].head = s == slot;
    vma[s].faulting = 0;
  }
  vma[first].head = 0;
  return true;
}

}  // namespace faultline::ref
