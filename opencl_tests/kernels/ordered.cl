// Accesses with a memory order, one right after the other, in one work-item. Each access has four words: the cell's
// address, the value, a code, and the value that a compare-exchange expects. The code is the operation (0 load, 1 store,
// 2 exchange, 3 add, 4 compare-exchange) plus 8 times the order.
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable

// `order` is for read-modify-write operations. `reading` and `writing` are the parts of it that a load and a store can have.
#define ORDERED(number, order, reading, writing)                                                                        \
  case 8 * number + 0: value = atomic_load_explicit(cell, reading, memory_scope_all_svm_devices); break;                \
  case 8 * number + 1: atomic_store_explicit(cell, value, writing, memory_scope_all_svm_devices); break;                \
  case 8 * number + 2: value = atomic_exchange_explicit(cell, value, order, memory_scope_all_svm_devices); break;       \
  case 8 * number + 3: value = atomic_fetch_add_explicit(cell, value, order, memory_scope_all_svm_devices); break;      \
  case 8 * number + 4:                                                                                                  \
    atomic_compare_exchange_strong_explicit(cell, &expected, value, order, reading, memory_scope_all_svm_devices);      \
    value = expected;                                                                                                   \
    break;

kernel void ordered(global const ulong* accesses, uint count, global ulong* results) {
  for (uint i = 0; i < count; ++i) {
    volatile global atomic_ulong* cell = (volatile global atomic_ulong*)accesses[4 * i];
    ulong value = accesses[4 * i + 1];
    ulong expected = accesses[4 * i + 3];
    switch (accesses[4 * i + 2]) {
      ORDERED(0, memory_order_relaxed, memory_order_relaxed, memory_order_relaxed)
      ORDERED(1, memory_order_acquire, memory_order_acquire, memory_order_relaxed)
      ORDERED(2, memory_order_release, memory_order_relaxed, memory_order_release)
      ORDERED(3, memory_order_acq_rel, memory_order_acquire, memory_order_release)
      ORDERED(4, memory_order_seq_cst, memory_order_seq_cst, memory_order_seq_cst)
    }
    results[i] = value;
  }
}
