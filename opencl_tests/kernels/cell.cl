// Kernels of the `opencl` target: single accesses to a cell, which is 8 bytes that are read or written at once. A cell's
// address is an SVM pointer, or any pointer if the device has fine-grained system SVM.

kernel void load_cell(global const volatile ulong* cell, global ulong* result) { *result = *cell; }

kernel void store_cell(global volatile ulong* cell, ulong value) { *cell = value; }
