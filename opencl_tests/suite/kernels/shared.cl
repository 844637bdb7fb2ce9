// Host and device use the same memory at the same time: atomics at the scope of all devices.

#define ALL memory_scope_all_svm_devices

// A table of bins. Each bin is a list, and all agents insert nodes at its head. Nodes have numbers; the first nodes are the
// heads. A link is the number of the next node, or 0 at the end.
typedef struct Node {
  uint value;
  atomic_uint next;
} Node;

__kernel void insert(__global Node* nodes, volatile __global atomic_uint* taken, uint bins) {
  const uint value = (uint)get_global_id(0);
  const uint slot = atomic_fetch_add_explicit(taken, 1u, memory_order_relaxed, ALL);
  volatile __global atomic_uint* head = &nodes[value % bins].next;
  nodes[slot].value = value;
  uint next = atomic_load_explicit(head, memory_order_acquire, ALL);
  do {
    atomic_store_explicit(&nodes[slot].next, next, memory_order_relaxed, ALL);
  } while (!atomic_compare_exchange_strong_explicit(head, &next, slot, memory_order_acq_rel, memory_order_acquire, ALL));
}

// Publishes the indices of the words that are `wanted`, one after the other, while the host watches.
__kernel void find(__global const uint* words, uint wanted, volatile __global atomic_uint* found,
                   volatile __global atomic_uint* places) {
  const uint i = (uint)get_global_id(0);
  if (words[i] != wanted) return;
  const uint index = atomic_fetch_add_explicit(found, 1u, memory_order_relaxed, ALL);
  atomic_store_explicit(&places[index], i + 1, memory_order_release, ALL);
}

// One work-item publishes `rounds` rounds of data, each with one release store.
__kernel void publish(__global uint* data, volatile __global atomic_uint* flag, uint rounds, uint length) {
  if (get_global_id(0) != 0) return;
  for (uint round = 1; round <= rounds; ++round) {
    __global uint* part = data + (round - 1) * length;
    for (uint i = 0; i < length; ++i) part[i] = round * 1000u + i;
    atomic_store_explicit(flag, round, memory_order_release, ALL);
  }
}

// One work-item follows what the host publishes, and gives up after `patience` looks. A round counts as torn if its data
// differs from what was published.
__kernel void follow(__global const uint* data, volatile __global atomic_uint* flag, __global uint* result,
                     uint rounds, uint length, uint patience) {
  if (get_global_id(0) != 0) return;
  uint torn = 0, seen = 0;
  for (uint look = 0; look < patience && seen < rounds; ++look) {
    const uint now = atomic_load_explicit(flag, memory_order_acquire, ALL);
    for (; seen < now; ++seen)
      for (uint i = 0; i < length; ++i) torn += data[seen * length + i] != (seen + 1) * 1000u + i;
  }
  result[0] = seen;
  result[1] = torn;
}

__kernel void count_up(volatile __global atomic_uint* counter, uint times) {
  for (uint i = 0; i < times; ++i) atomic_fetch_add_explicit(counter, 1u, memory_order_relaxed, ALL);
}
