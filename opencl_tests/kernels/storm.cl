// A fault storm: each work-item stores to one page. The host has shuffled the pages.
kernel void storm(global char* memory, global const uint* pages, uint first, ulong page_bytes) {
  const uint page = pages[first + get_global_id(0)];
  *(global volatile ulong*)(memory + page * page_bytes) = page + 1;
}
