// Plain accesses to words and bytes.

__kernel void add(__global uint* a, uint value) { a[get_global_id(0)] += value; }

// Each new word depends on its index and its old value, so it shows if a kernel runs twice or not at all.
__kernel void stir(__global uint* a, uint seed) {
  const uint i = (uint)get_global_id(0);
  a[i] = a[i] * 31u + seed + i;
}

__kernel void copy(__global const uint* from, __global uint* to) { to[get_global_id(0)] = from[get_global_id(0)]; }

// Stores to the bytes whose index modulo `agents` is `agent`, `rounds` times, while others store to the bytes in between.
__kernel void store_own_bytes(volatile __global uchar* a, uint agents, uint agent, uint rounds) {
  const size_t i = get_global_id(0);
  if (i % agents != agent) return;
  for (uint r = 0; r < rounds; ++r) a[i] = (uchar)(agent + 1);
}

// Counts the bytes that do not have the value of their agent.
__kernel void count_wrong_bytes(__global const uchar* a, uint agents, volatile __global uint* wrong) {
  const size_t i = get_global_id(0);
  if (a[i] != i % agents + 1) atomic_inc(wrong);
}
