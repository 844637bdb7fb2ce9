// Like make() in lists.cl, but each pool is given as two adjacent halves.

typedef struct Node {
  ulong next;
  uint list;
  uint place;
} Node;

__global Node* slot_of(__global Node* low, __global Node* high, uint slot, uint half_size) {
  return slot < half_size ? &low[slot] : &high[slot - half_size];
}

__kernel void make(__global Node* first_low, __global Node* first_high, __global Node* second_low,
                   __global Node* second_high, volatile __global uint* taken, uint length, uint half_size) {
  const uint list = (uint)get_global_id(0);
  __global Node* node = slot_of(first_low, first_high, list, half_size);
  node->list = list;
  node->place = 0;
  for (uint place = 1; place < length; ++place) {
    const uint slot = atomic_inc(taken);
    __global Node* next = (list + place) % 2 ? slot_of(second_low, second_high, slot, half_size)
                                             : slot_of(first_low, first_high, slot, half_size);
    next->list = list;
    next->place = place;
    node->next = (ulong)(uintptr_t)next;
    node = next;
  }
  node->next = 0;
}
