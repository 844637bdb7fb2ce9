// Accesses with an order, one right behind the other, in one work-item. Three words for each: the cell's address,
// the value, and what to do: 0 load, 1 store; 2 for acquire or release, 4 for sequentially consistent.
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable

kernel void ordered(global const ulong* accesses, uint count, global ulong* results) {
  for (uint i = 0; i < count; ++i) {
    volatile global atomic_ulong* cell = (volatile global atomic_ulong*)accesses[3 * i];
    const ulong value = accesses[3 * i + 1];
    ulong result = 0;
    switch (accesses[3 * i + 2]) {
      case 0: result = atomic_load_explicit(cell, memory_order_relaxed, memory_scope_all_svm_devices); break;
      case 1: atomic_store_explicit(cell, value, memory_order_relaxed, memory_scope_all_svm_devices); break;
      case 2: result = atomic_load_explicit(cell, memory_order_acquire, memory_scope_all_svm_devices); break;
      case 3: atomic_store_explicit(cell, value, memory_order_release, memory_scope_all_svm_devices); break;
      case 4: result = atomic_load_explicit(cell, memory_order_seq_cst, memory_scope_all_svm_devices); break;
      case 5: atomic_store_explicit(cell, value, memory_order_seq_cst, memory_scope_all_svm_devices); break;
    }
    results[i] = result;
  }
}
