// Accesses through pointers of the generic address space.

void flip(uint* word) { *word ^= 0x5a5a5a5au; }

__kernel void through_generic(__global uint* a, volatile __global uint* right) {
  const size_t i = get_global_id(0);
  uint own = a[i];
  flip(&own);  // a private pointer too, so that the compiler cannot know the address space
  uint* there = i % 2 ? &a[i] : a + i;
  flip(there);
  if (*there == own && to_global(there) == &a[i]) atomic_inc(right);
}
