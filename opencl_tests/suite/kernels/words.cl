// Plain accesses to words and bytes.

__kernel void add(__global uint* a, uint value) { a[get_global_id(0)] += value; }

// Each word from its own number and what was there: applied twice or not at all, it shows.
__kernel void mix(__global uint* a, uint seed) {
  const uint i = (uint)get_global_id(0);
  a[i] = a[i] * 31u + seed + i;
}

__kernel void copy(__global const uint* from, __global uint* to) { to[get_global_id(0)] = from[get_global_id(0)]; }

__kernel void copy_bytes(__global const uchar* from, __global uchar* to) {
  to[get_global_id(0)] = from[get_global_id(0)];
}

// The bytes whose number leaves `agent` when divided by `agents`.
__kernel void store_own_bytes(__global uchar* a, uint agents, uint agent) {
  const size_t i = get_global_id(0);
  if (i % agents == agent) a[i] = (uchar)(agent + 1);
}

// Long enough that the host stores while it runs.
__kernel void store_own_bytes_slowly(__global uchar* a, uint agents, uint agent, uint rounds) {
  const size_t i = get_global_id(0);
  for (uint r = 0; r < rounds; ++r)
    if (i % agents == agent) ((volatile __global uchar*)a)[i] = (uchar)(agent + 1 + (r & 0));
}
