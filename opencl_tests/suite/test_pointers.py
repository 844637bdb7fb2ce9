"""Pointers into an allocation as kernel arguments (clSetKernelArgSVMPointer)."""

import pytest

from svm_kit import pattern, u32

SIZE = 256
WIDTHS = {"uchar": 1, "ushort": 2, "uint": 4, "ulong": 8, "uint4": 16}


@pytest.mark.parametrize("kind", WIDTHS)
def test_every_aligned_place_of_an_allocation(bench, level, kind):
    width, queue = WIDTHS[kind], bench.queue()
    memory, answers = level.alloc(SIZE), level.alloc(4 * SIZE)
    with level.host(queue, memory, answers):
        memory.write(pattern(SIZE))
        answers.write(bytes(4 * SIZE))
    places = range(0, SIZE, width)
    for place in places:
        expected = pattern(SIZE)[place:place + width]
        queue.nd_range(bench.kernel("pointers.cl", f"check_{kind}", memory + place, answers + 4 * place, expected), [8])
    with level.host(queue, answers):
        wrong = [place for place in places if answers.words[place] != 1]
    assert wrong == []


def test_an_address_is_the_same_number_everywhere(bench, level):
    queue = bench.queue()
    memory, address, seen = level.alloc(SIZE), level.alloc(8), level.alloc(8 * 16)
    with level.host(queue, memory):
        memory.write(pattern(SIZE))
    for place in (0, 4, 60, 128, SIZE - 64):
        queue.nd_range(bench.kernel("pointers.cl", "walk", memory + place, address, seen, u32(16)), [1])
        with level.host(queue, memory, address, seen):
            assert address.longs[0] == memory + place
            there = list(memory.words)[place // 4:place // 4 + 16]
            assert list(seen.words) == there + there[::-1]


def test_an_argument_stays_until_it_is_set_again(bench, level):
    """An enqueued kernel keeps the pointer that was set at that time, even if another one is set afterwards."""
    queue = bench.queue()
    first, second = level.alloc(SIZE), level.alloc(SIZE)
    with level.host(queue, first, second):
        first.write(bytes(SIZE))
        second.write(bytes(SIZE))
    kernel = bench.kernel("words.cl", "add", first, u32(1))
    queue.nd_range(kernel, [SIZE // 4])
    queue.nd_range(kernel, [SIZE // 4])
    kernel.set(0, second)
    queue.nd_range(kernel, [SIZE // 4])
    with level.host(queue, first, second):
        assert set(first.words) == {2} and set(second.words) == {1}


def test_a_clone_has_arguments_of_its_own(bench, level):
    bench.require("version:2.1")
    queue = bench.queue()
    memory = [level.alloc(SIZE) for _ in range(3)]
    with level.host(queue, *memory):
        for each in memory:
            each.write(bytes(SIZE))
    kernel = bench.kernel("words.cl", "add", memory[0], u32(1))
    clone = kernel.clone()
    kernel.set(0, memory[1])
    other = clone.clone()
    other.set(0, memory[2])
    other.set(1, u32(100))
    for each, times in ((kernel, 1), (clone, 2), (other, 3)):
        for _ in range(times):
            queue.nd_range(each, [SIZE // 4])
    with level.host(queue, *memory):
        assert [set(each.words) for each in memory] == [{2}, {1}, {300}]


@pytest.mark.needs("coarse-grain-buffer")
def test_arguments_that_are_refused(bench):
    memory = bench.svm(SIZE)
    kernel = bench.kernel("words.cl", "add")
    with bench.fails("CL_INVALID_ARG_INDEX"):
        kernel.set(2, memory)
    # The specification names no error for an argument that is not a pointer. Index or value may be called wrong.
    with bench.fails("CL_INVALID_ARG_INDEX", "CL_INVALID_ARG_VALUE"):
        kernel.set(1, memory)
