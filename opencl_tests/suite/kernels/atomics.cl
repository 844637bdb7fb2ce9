// Atomic operations. The host gives TYPE, ATOMIC, ORDER and SCOPE as build options. result[i] is what work-item i got from
// the operation.

#ifdef WIDE
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable
#pragma OPENCL EXTENSION cl_khr_int64_extended_atomics : enable
#endif

#define ID ((TYPE)get_global_id(0))

#ifdef CELL
#define FETCH(name, operand) \
  __kernel void fetch_##name(volatile __global ATOMIC* cell, __global TYPE* result) { \
    result[get_global_id(0)] = atomic_fetch_##name##_explicit(cell, (TYPE)(operand), ORDER, SCOPE); \
  }
FETCH(add, ID)
FETCH(sub, ID)
FETCH(or, (TYPE)1 << (ID % (sizeof(TYPE) * 8)))
FETCH(xor, (TYPE)1 << (ID % (sizeof(TYPE) * 8)))
FETCH(and, ~((TYPE)1 << (ID % (sizeof(TYPE) * 8))))
FETCH(min, ID)
FETCH(max, ID)

__kernel void exchange(volatile __global ATOMIC* cell, __global TYPE* result) {
  result[get_global_id(0)] = atomic_exchange_explicit(cell, ID + 1, ORDER, SCOPE);
}

// Each work-item adds one when it wins.
__kernel void compare_strong(volatile __global ATOMIC* cell, __global TYPE* result) {
  TYPE expected = 0;
  while (!atomic_compare_exchange_strong_explicit(cell, &expected, expected + 1, ORDER, memory_order_relaxed, SCOPE)) {
  }
  result[get_global_id(0)] = expected;
}

__kernel void compare_weak(volatile __global ATOMIC* cell, __global TYPE* result) {
  TYPE expected = 0;
  while (!atomic_compare_exchange_weak_explicit(cell, &expected, expected + 1, ORDER, memory_order_relaxed, SCOPE)) {
  }
  result[get_global_id(0)] = expected;
}
#endif

#ifdef STORE
__kernel void store(volatile __global ATOMIC* cells, __global TYPE* result) {
  atomic_store_explicit(&cells[get_global_id(0)], ID * 3 + 1, ORDER, SCOPE);
  result[get_global_id(0)] = 0;
}
__kernel void init(volatile __global ATOMIC* cells, __global TYPE* result) {
  atomic_init(&cells[get_global_id(0)], ID * 3 + 1);
  result[get_global_id(0)] = 0;
}
#endif

#ifdef LOAD
__kernel void load(volatile __global ATOMIC* cells, __global TYPE* result) {
  result[get_global_id(0)] = atomic_load_explicit(&cells[get_global_id(0)], ORDER, SCOPE);
}
#endif

#ifdef FLAG
// A flag is the lock of a plain counter. Each work-group, of one work-item, takes it once.
__kernel void flag(volatile __global atomic_flag* lock, __global uint* result) {
  while (atomic_flag_test_and_set_explicit(lock, memory_order_acquire, SCOPE)) {
  }
  result[0] += 1;
  atomic_flag_clear_explicit(lock, memory_order_release, SCOPE);
}
#endif

#ifdef FENCE
// Plain data and relaxed flags, ordered by fences alone. Groups form pairs: the first group of a pair reads what the second
// one writes, perhaps at the same time.
__kernel void fence(__global uint* data, volatile __global atomic_uint* flags, __global uint* result) {
  const uint pair = (uint)(get_group_id(0) / 2), i = pair * (uint)get_local_size(0) + (uint)get_local_id(0);
  if (get_group_id(0) % 2) {
    data[i] = i * 7 + 1;
    atomic_work_item_fence(CLK_GLOBAL_MEM_FENCE, memory_order_release, SCOPE);
    atomic_store_explicit(&flags[i], 1u, memory_order_relaxed, SCOPE);
  } else {
    const uint seen = atomic_load_explicit(&flags[i], memory_order_relaxed, SCOPE);
    atomic_work_item_fence(CLK_GLOBAL_MEM_FENCE, memory_order_acquire, SCOPE);
    result[i] = seen ? (data[i] == i * 7 + 1 ? 1u : 2u) : 0u;
  }
}
#endif
