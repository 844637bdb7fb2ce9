// Memory that is reached through pointers in memory.

typedef struct Table {
  ulong rows[4];  // addresses
} Table;

__kernel void add_to_rows(__global const Table* table, uint rows, uint value) {
  const size_t i = get_global_id(0);
  for (uint r = 0; r < rows; ++r) ((__global uint*)(uintptr_t)table->rows[r])[i] += value;
}

// Stores the sum of the other rows in row 0.
__kernel void sum_rows(__global const Table* table, uint rows) {
  const size_t i = get_global_id(0);
  uint sum = 0;
  for (uint r = 1; r < rows; ++r) sum += ((__global const uint*)(uintptr_t)table->rows[r])[i];
  ((__global uint*)(uintptr_t)table->rows[0])[i] = sum;
}
