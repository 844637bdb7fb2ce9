"""Commands on shared memory: copies, fills, maps and frees; their order, their events and their waits."""

import time

import pytest

from svm_kit import LEVELS, pattern, u32

pytestmark = pytest.mark.needs("coarse-grain-buffer")

# Sizes of OpenCL's scalars and vectors. A vector of three elements has the size of four.
PATTERNS = [1, 2, 4, 8, 16, 32, 64, 128]
SIZE = 64 << 10


@pytest.fixture
def queue(bench):
    return bench.queue()


def read(queue, cl, memory):
    queue.map(memory, memory.size, cl.MAP_READ)
    bytes_ = memory.read()
    queue.unmap(memory)
    return bytes_


def write(queue, cl, memory, bytes_):
    queue.map(memory, memory.size, cl.MAP_WRITE)
    memory.write(bytes_)
    queue.unmap(memory)


@pytest.mark.parametrize("size", PATTERNS)
def test_fill_with_each_pattern(bench, cl, queue, size):
    memory = bench.svm(SIZE)
    queue.fill(memory, pattern(size, 3), SIZE)
    assert read(queue, cl, memory) == pattern(size, 3) * (SIZE // size)


def test_fill_a_part(bench, cl, queue):
    memory = bench.svm(SIZE)
    write(queue, cl, memory, pattern(SIZE))
    queue.fill(memory + 4104, u32(9) + u32(8), 24)
    assert read(queue, cl, memory) == pattern(SIZE)[:4104] + (u32(9) + u32(8)) * 3 + pattern(SIZE)[4128:]


def test_fill_memory_of_the_host(bench, cl, queue):
    bench.require(LEVELS["system"])
    memory = cl.SystemMemory(SIZE)
    memory.write(pattern(SIZE))
    queue.fill(memory, u32(9), SIZE // 2)
    queue.finish()
    assert memory.read() == u32(9) * (SIZE // 8) + pattern(SIZE)[SIZE // 2:]


@pytest.mark.parametrize("kinds", ["svm-svm", "svm-host", "host-svm", "host-host"])
@pytest.mark.parametrize("size", [1, 4095, 4096, SIZE])
def test_memcpy_between_kinds(bench, cl, queue, kinds, size):
    source, target = [bench.svm(SIZE) if kind == "svm" else cl.SystemMemory(SIZE) for kind in kinds.split("-")]
    for memory, seed in ((source, 1), (target, 2)):
        if isinstance(memory, cl.SvmMemory):
            write(queue, cl, memory, pattern(SIZE, seed))
        else:
            queue.finish()
            memory.write(pattern(SIZE, seed))
    queue.memcpy(target, source, size, True)
    bytes_ = read(queue, cl, target) if isinstance(target, cl.SvmMemory) else target.read()
    assert bytes_ == pattern(SIZE, 1)[:size] + pattern(SIZE, 2)[size:]


def test_memcpy_of_unaligned_places(bench, cl, queue):
    source, target = bench.svm(SIZE), bench.svm(SIZE)
    write(queue, cl, source, pattern(SIZE))
    expected = bytearray(pattern(SIZE, 2))
    write(queue, cl, target, bytes(expected))
    for to, start, size in ((1, 2, 3), (17, 8, 31), (4095, 1, 4098), (12289, 5000, 9999)):
        queue.memcpy(target + to, source + start, size)
        expected[to:to + size] = pattern(SIZE)[start:start + size]
    assert read(queue, cl, target) == bytes(expected)


def test_memcpy_of_neighbours_in_one_allocation(bench, cl, queue):
    memory = bench.svm(SIZE)
    write(queue, cl, memory, pattern(SIZE))
    queue.memcpy(memory + SIZE // 2, memory, SIZE // 2)
    assert read(queue, cl, memory) == pattern(SIZE)[:SIZE // 2] * 2


def test_a_map_of_a_part_leaves_the_rest(bench, cl, queue):
    memory = bench.svm(SIZE)
    write(queue, cl, memory, pattern(SIZE))
    queue.map(memory + 4100, 100)
    assert memory.read(4100, 100) == pattern(SIZE)[4100:4200]
    memory.write(bytes(100), 4100)
    queue.unmap(memory + 4100)
    copy = bench.svm(SIZE)
    queue.memcpy(copy, memory, SIZE)
    assert read(queue, cl, copy) == pattern(SIZE)[:4100] + bytes(100) + pattern(SIZE)[4200:]


def test_a_map_that_writes_all(bench, cl, queue):
    memory, copy = bench.svm(SIZE), bench.svm(SIZE)
    queue.fill(memory, u32(3), SIZE)
    queue.map(memory, SIZE, cl.MAP_WRITE_INVALIDATE)
    memory.write(pattern(SIZE))
    queue.unmap(memory)
    queue.memcpy(copy, memory, SIZE)
    assert read(queue, cl, copy) == pattern(SIZE)


def test_a_map_that_does_not_block(bench, cl, queue):
    memory = bench.svm(SIZE)
    queue.fill(memory, u32(7), SIZE)
    mapped = queue.map(memory, SIZE, blocking=False)
    mapped.wait()
    assert mapped.status == "complete"
    assert memory.read() == u32(7) * (SIZE // 4)
    queue.unmap(memory)
    queue.finish()


def test_host_and_device_in_turn(bench, cl, queue):
    """The host sees what the device wrote before a map, and the device sees what the host wrote before an unmap."""
    memory = bench.svm(SIZE)
    count = SIZE // 4
    queue.fill(memory, u32(0), SIZE)
    for turn in range(1, 6):
        queue.nd_range(bench.kernel("words.cl", "add", memory, u32(1)), [count])
        queue.map(memory, SIZE)
        assert set(memory.words) == {turn * 11 - 10}
        memory.write(u32(turn * 11) * count)
        queue.unmap(memory)
    queue.finish()


def test_writes_keep_their_order(bench, cl, queue):
    """In an in-order queue the last of overlapping writes wins, whatever commands they are."""
    memory, source = bench.svm(SIZE), bench.svm(SIZE)
    queue.fill(source, u32(5), SIZE)
    queue.fill(memory, u32(1), SIZE)
    queue.fill(memory, u32(2), SIZE)
    queue.memcpy(memory, source, SIZE // 2)
    queue.fill(memory, u32(6), SIZE // 4)
    expected = u32(6) * (SIZE // 16) + u32(5) * (SIZE // 16) + u32(2) * (SIZE // 8)
    assert read(queue, cl, memory) == expected


def test_a_wait_means_that_it_is_done(bench, cl):
    """After clFinish, clWaitForEvents or a blocking command, everything that they wait for is done."""
    queue, memory, kernel_rounds = bench.queue(), bench.level("coarse").alloc(SIZE), 8
    copy = cl.SystemMemory(SIZE)
    for wait in (lambda last: queue.finish(), lambda last: last.wait(), lambda last: cl.wait([last])):
        for _ in range(kernel_rounds):
            last = queue.nd_range(bench.kernel("words.cl", "stir", memory, u32(3)), [SIZE // 4])
        wait(last)
        assert last.status == "complete"
    queue.fill(memory, u32(4), SIZE)
    queue.memcpy(copy, memory, SIZE, True)
    assert copy.read() == u32(4) * (SIZE // 4)


def test_a_command_waits_for_its_events(bench, cl, queue):
    """No command runs before a user event that it waits for, directly or through other commands."""
    memory, copy = bench.svm(SIZE), bench.svm(SIZE)
    queue.fill(memory, u32(1), SIZE)
    queue.fill(copy, u32(0), SIZE)
    queue.finish()
    gate = cl.UserEvent(bench.context)
    filled = queue.fill(memory, u32(2), SIZE, after=[gate])
    copied = queue.memcpy(copy, memory, SIZE, after=[filled])
    queue.flush()
    time.sleep(0.05)
    assert [each.status in ("queued", "submitted") for each in (filled, copied)] == [True, True]
    gate.set()
    copied.wait()
    assert read(queue, cl, copy) == u32(2) * (SIZE // 4)


@pytest.mark.needs("out-of-order")
def test_an_out_of_order_queue_keeps_what_events_order(bench, cl):
    queue = bench.queue(out_of_order=True)
    a, b, c = (bench.svm(SIZE) for _ in range(3))
    gate = cl.UserEvent(bench.context)
    first = queue.fill(a, u32(1), SIZE, after=[gate])
    other = queue.fill(b, u32(10), SIZE, after=[gate])
    last = first
    for _ in range(6):
        last = queue.nd_range(bench.kernel("words.cl", "stir", a, u32(7)), [SIZE // 4], after=[last])
    added = queue.memcpy(c, a, SIZE, after=[last, other])
    queue.flush()
    time.sleep(0.05)
    assert "complete" not in [each.status for each in (first, other, last, added)]
    gate.set()
    mapped = queue.map(c, SIZE, blocking=False, after=[added])
    mapped.wait()
    expected = [1] * (SIZE // 4)
    for _ in range(6):
        expected = [(value * 31 + 7 + i) % 2 ** 32 for i, value in enumerate(expected)]
    assert list(c.words) == expected
    queue.unmap(c, after=[mapped])
    queue.finish()


@pytest.mark.needs("out-of-order")
def test_a_barrier_orders_what_is_around_it(bench, cl):
    queue = bench.queue(out_of_order=True)
    memory = bench.svm(SIZE)
    for turn in range(20):
        queue.fill(memory, u32(turn), SIZE)
        queue.barrier()
        queue.nd_range(bench.kernel("words.cl", "add", memory, u32(100)), [SIZE // 4])
        queue.barrier()
    queue.finish()
    assert read(bench.queue(), cl, memory) == u32(119) * (SIZE // 4)


def test_events_of_two_queues(bench, cl):
    """One queue's command waits for another queue's."""
    first, second = bench.agents()[:2]
    memory, copy = bench.svm(SIZE), bench.svm(SIZE)
    gate = cl.UserEvent(bench.context)
    filled = first.fill(memory, u32(3), SIZE, after=[gate])
    added = second.nd_range(bench.kernel("words.cl", "add", memory, u32(4)), [SIZE // 4], after=[filled])
    copied = first.memcpy(copy, memory, SIZE, after=[added])
    first.flush()
    second.flush()
    time.sleep(0.05)
    assert "complete" not in [each.status for each in (filled, added, copied)]
    gate.set()
    copied.wait()
    assert read(first, cl, copy) == u32(7) * (SIZE // 4)


def test_each_command_says_its_type(bench, cl, queue):
    memory, copy = bench.svm(SIZE), bench.svm(SIZE)
    events = [queue.fill(memory, u32(1), SIZE), queue.memcpy(copy, memory, SIZE), queue.map(memory, SIZE),
              queue.unmap(memory), queue.migrate([memory]),
              queue.nd_range(bench.kernel("words.cl", "add", memory, u32(1)), [16]), queue.free([memory])]
    memory.forget()
    queue.finish()
    assert [event.command for event in events] == ["svm-memfill", "svm-memcpy", "svm-map", "svm-unmap",
                                                   "svm-migrate-mem", "ndrange-kernel", "svm-free"]


def test_profiling_times_are_in_order(bench, cl):
    queue = bench.queue(profiling=True)
    memory, copy = bench.svm(SIZE), bench.svm(SIZE)
    commands = [queue.fill(memory, u32(1), SIZE), queue.memcpy(copy, memory, SIZE),
                queue.nd_range(bench.kernel("words.cl", "stir", memory, u32(1)), [SIZE // 4]), queue.map(memory, SIZE),
                queue.unmap(memory)]
    queue.finish()
    times = [event.times for event in commands]
    for each in times:
        assert 0 < each["queued"] <= each["submitted"] <= each["started"] <= each["ended"]
    ends = [each["ended"] for each in times]
    assert ends == sorted(ends)  # in order


def test_free_after_what_used_it(bench, cl, queue):
    source, target, copy = bench.svm(SIZE), bench.svm(SIZE), cl.SystemMemory(SIZE)
    queue.fill(source, u32(6), SIZE)
    queue.memcpy(target, source, SIZE)
    freed = queue.free([source])
    source.forget()
    queue.memcpy(copy, target, SIZE, True, after=[freed])
    assert copy.read() == u32(6) * (SIZE // 4)


def test_free_calls_back_with_what_it_was_given(bench, cl, queue):
    """The callback frees. System memory may be among the pointers."""
    memories = [bench.svm(1024) for _ in range(32)]
    system = cl.SystemMemory(64)
    freed = cl.Freed()
    gate = cl.UserEvent(bench.context)
    addresses = [memory.address for memory in [*memories, system]]
    event = queue.free([*memories, system], freed, kept=[system], after=[gate])
    for memory in memories:
        memory.forget()
    queue.flush()
    time.sleep(0.05)
    assert not freed.called
    gate.set()
    event.wait()
    queue.finish()
    until = time.monotonic() + 10
    while not freed.called and time.monotonic() < until:
        time.sleep(0.001)
    assert freed.called
    assert freed.addresses == addresses
    assert freed.by(queue)
