"""Generic pointers of OpenCL C that point to shared memory, at each level of sharing."""

import pytest

from svm_kit import pattern

SIZE = 4096


@pytest.mark.needs("feature:__opencl_c_generic_address_space")
def test_a_generic_pointer_to_shared_memory(bench, level):
    """A function that takes generic pointers works on shared memory, and to_global() gives the pointer back."""
    queue, memory, right = bench.queue(), level.alloc(SIZE), level.alloc(4)
    with level.host(queue, memory, right):
        memory.write(pattern(SIZE))
        right.words[0] = 0
    kernel = bench.kernel("generic.cl", "through_generic", memory, right)
    queue.nd_range(kernel, [SIZE // 4])
    with level.host(queue, memory, right):
        assert right.words[0] == SIZE // 4
        assert list(memory.words) == [word ^ 0x5a5a5a5a for word in memoryview(pattern(SIZE)).cast("I")]
