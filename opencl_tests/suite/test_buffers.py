"""Buffers over shared memory: clCreateBuffer with CL_MEM_USE_HOST_PTR on a pointer of clSVMAlloc."""

import pytest

from svm_kit import pattern, u32

pytestmark = pytest.mark.needs("coarse-grain-buffer")

SIZE = 4096


def test_a_mapping_is_the_memory_itself(bench, cl):
    queue, memory = bench.queue(), bench.svm(SIZE)
    buffer = cl.Buffer(bench.context, cl.USE_HOST_PTR, SIZE, memory)
    address, _ = queue.map_buffer(buffer, cl.MAP_WRITE, 0, SIZE)
    assert address == memory.address
    memory.write(pattern(SIZE))
    queue.unmap_buffer(buffer, address)
    assert queue.read_buffer(buffer, 0, SIZE) == pattern(SIZE)
    address, _ = queue.map_buffer(buffer, cl.MAP_READ, 128, 256)
    assert address == memory + 128
    queue.unmap_buffer(buffer, address)
    queue.finish()


@pytest.mark.parametrize("sharing", ["coarse", "fine"])
def test_each_flag_of_access(bench, cl, sharing):
    queue = bench.queue()
    fine = cl.FINE_GRAIN if bench.level(sharing).name == "fine" else 0
    for access in (cl.READ_WRITE, cl.READ_ONLY, cl.WRITE_ONLY, 0):
        memory = bench.svm(SIZE, access | fine)
        buffer = cl.Buffer(bench.context, cl.USE_HOST_PTR | access, SIZE, memory)
        assert buffer.uses_svm_pointer
        address, _ = queue.map_buffer(buffer, cl.MAP_READ | cl.MAP_WRITE, 0, SIZE)
        assert address == memory.address
        queue.unmap_buffer(buffer, address)
    queue.finish()


def test_a_kernel_sees_through_both_names(bench, cl):
    """Commands on the buffer and on the pointer, in turn, in one queue."""
    queue, memory = bench.queue(), bench.svm(SIZE)
    buffer = cl.Buffer(bench.context, cl.USE_HOST_PTR, SIZE, memory)
    queue.fill(memory, u32(5), SIZE)
    queue.nd_range(bench.kernel("words.cl", "add", buffer, u32(10)), [SIZE // 4])
    queue.nd_range(bench.kernel("words.cl", "add", memory, u32(100)), [SIZE // 4])
    queue.write_buffer(buffer, 8, u32(1000))
    queue.nd_range(bench.kernel("words.cl", "add", memory, u32(1)), [SIZE // 4])
    assert queue.read_buffer(buffer, 0, 16) == u32(116) + u32(116) + u32(1001) + u32(116)
    queue.map(memory, SIZE, cl.MAP_READ)
    assert list(memory.words) == [116, 116, 1001] + [116] * (SIZE // 4 - 3)
    queue.unmap(memory)
    queue.finish()


def test_only_such_a_buffer_uses_an_svm_pointer(bench, cl):
    memory = bench.svm(SIZE)
    assert cl.Buffer(bench.context, cl.USE_HOST_PTR, SIZE, memory).uses_svm_pointer
    assert cl.Buffer(bench.context, cl.USE_HOST_PTR, SIZE // 2, memory).uses_svm_pointer
    assert not cl.Buffer(bench.context, cl.READ_WRITE, SIZE).uses_svm_pointer


def test_a_sub_buffer_uses_the_svm_pointer(bench, cl):
    """clGetMemObjectInfo: a sub-buffer uses an SVM pointer if its parent was created from one."""
    parent = cl.Buffer(bench.context, cl.USE_HOST_PTR, SIZE, bench.svm(SIZE))
    assert parent.sub(bench.device.base_alignment, 256).uses_svm_pointer


def test_a_sub_buffer_inherits_its_flags(bench, cl):
    memory = bench.svm(SIZE, cl.READ_ONLY)
    parent = cl.Buffer(bench.context, cl.USE_HOST_PTR | cl.READ_ONLY, SIZE, memory)
    assert parent.sub(0, SIZE // 2).flags & (cl.READ_ONLY | cl.USE_HOST_PTR) == cl.READ_ONLY | cl.USE_HOST_PTR


def test_disjoint_sub_buffers_for_two_queues(bench, cl):
    """Each queue's kernel writes its half through a sub-buffer; the host and the parent see both."""
    bench.join_peers("coarse-grain-buffer")
    first, second = bench.agents()[:2]
    memory = bench.svm(2 * SIZE)
    parent = cl.Buffer(bench.context, cl.USE_HOST_PTR, 2 * SIZE, memory)
    halves = [parent.sub(0, SIZE), parent.sub(SIZE, SIZE)]
    filled = first.fill(memory, u32(0), 2 * SIZE)
    first.finish()
    for number, (queue, half) in enumerate(zip((first, second), halves)):
        queue.nd_range(bench.kernel("words.cl", "add", half, u32(number + 7)), [SIZE // 4], after=[filled])
    first.finish()
    second.finish()
    address, _ = first.map_buffer(parent, cl.MAP_READ, 0, 2 * SIZE)
    assert address == memory.address
    assert list(memory.words) == [7] * (SIZE // 4) + [8] * (SIZE // 4)
    first.unmap_buffer(parent, address)
    first.finish()


@pytest.mark.parametrize("sharing", ["coarse", "fine", "atomics"])
def test_a_buffer_larger_than_the_allocation(bench, cl, sharing):
    if sharing == "atomics":
        bench.require("atomics")
        memory = bench.atomic(SIZE)
    else:
        memory = bench.level(sharing).alloc(SIZE)
    for size in (SIZE + 1, 2 * SIZE):
        with bench.fails("CL_INVALID_BUFFER_SIZE"):
            cl.Buffer(bench.context, cl.USE_HOST_PTR, size, memory)


def test_a_sub_buffer_that_is_misaligned_or_too_long(bench, cl):
    parent = cl.Buffer(bench.context, cl.USE_HOST_PTR, SIZE, bench.svm(SIZE))
    if bench.device.base_alignment > 1:
        with bench.fails("CL_MISALIGNED_SUB_BUFFER_OFFSET"):
            parent.sub(bench.device.base_alignment // 2, 256)
    with bench.fails("CL_INVALID_VALUE"):
        parent.sub(0, SIZE + 1)
    with bench.fails("CL_INVALID_BUFFER_SIZE"):
        parent.sub(0, 0)
