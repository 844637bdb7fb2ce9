// What a pointer argument points to.

// 1 where the value at p is the expected one, else 2.
#define CHECK(type) \
  __kernel void check_##type(__global const type* p, __global uint* answer, type expected) { \
    if (get_global_id(0) == 0) *answer = *p == expected ? 1u : 2u; \
  }
CHECK(uchar)
CHECK(ushort)
CHECK(uint)
CHECK(ulong)

__kernel void check_uint4(__global const uint4* p, __global uint* answer, uint4 expected) {
  if (get_global_id(0) == 0) *answer = all(*p == expected) ? 1u : 2u;
}

// Stores the address as the device sees it, and the words that pointer arithmetic reaches from it.
__kernel void walk(__global const uint* p, __global ulong* address, __global uint* seen, uint length) {
  *address = (ulong)(uintptr_t)p;
  __global const uint* forth = p;
  for (uint i = 0; i < length; ++i) seen[i] = *forth++;
  for (uint i = 0; i < length; ++i) seen[length + i] = *--forth;
}
