// Plain accesses to words and bytes.

__kernel void add(__global uint* a, uint value) { a[get_global_id(0)] += value; }

// Each word from its own number and what was there: applied twice or not at all, it shows.
__kernel void stir(__global uint* a, uint seed) {
  const uint i = (uint)get_global_id(0);
  a[i] = a[i] * 31u + seed + i;
}

__kernel void copy(__global const uint* from, __global uint* to) { to[get_global_id(0)] = from[get_global_id(0)]; }

// The bytes whose number leaves `agent` when divided by `agents`, so many times over, so that others store
// into the bytes between them meanwhile.
__kernel void store_own_bytes(volatile __global uchar* a, uint agents, uint agent, uint rounds) {
  const size_t i = get_global_id(0);
  if (i % agents != agent) return;
  for (uint r = 0; r < rounds; ++r) a[i] = (uchar)(agent + 1);
}

// How many of so many bytes are not those of the agent whose turn they are.
__kernel void count_wrong_bytes(__global const uchar* a, uint agents, volatile __global uint* wrong) {
  const size_t i = get_global_id(0);
  if (a[i] != i % agents + 1) atomic_inc(wrong);
}
