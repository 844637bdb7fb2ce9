"""clEnqueueSVMMigrateMem: the destination is only a hint, but the contents must stay."""

import pytest

from svm_kit import pattern, u32

pytestmark = pytest.mark.needs("coarse-grain-buffer", "version:2.1")

SIZE = 256 << 10
COUNT = SIZE // 4


class Three:
    """Three allocations with known words, and a kernel for each."""

    def __init__(self, bench):
        bench.join_peers("coarse-grain-buffer")
        self.bench, self.cl, self.queues = bench, bench.cl, bench.agents()[:2]
        self.memory = [bench.svm(SIZE, alignment=16) for _ in range(3)]
        self.words = []
        for number, memory in enumerate(self.memory):
            self.queues[0].map(memory, SIZE, self.cl.MAP_WRITE)
            memory.write(pattern(SIZE, number + 1))
            self.queues[0].unmap(memory)
            self.words.append(list(memoryview(pattern(SIZE, number + 1)).cast("I")))
        self.queues[0].finish()

    def stir(self, queue, after):
        """Changes all three, by kernels in this queue."""
        for number, memory in enumerate(self.memory):
            kernel = self.bench.kernel("words.cl", "stir", memory, u32(number))
            after = [queue.nd_range(kernel, [COUNT], after=after)]
            self.words[number] = [(word * 31 + number + i) % 2 ** 32 for i, word in enumerate(self.words[number])]
        return after[0]

    def check(self, queue, after):
        for number, memory in enumerate(self.memory):
            queue.map(memory, SIZE, self.cl.MAP_READ, after=after)
            assert list(memory.words) == self.words[number], f"allocation {number}"
            queue.unmap(memory)
        queue.finish()


def test_whole_allocations_there_and_back(bench):
    three = Three(bench)
    first, second = three.queues
    last = first.migrate(three.memory)
    for queue, other in ((first, second), (second, first)):
        last = three.stir(queue, [last])
        queue.flush()
        last = other.migrate(three.memory, after=[last])
        other.flush()
    three.check(first, [last])


def test_named_by_a_place_within(bench):
    """Without sizes, or with size 0, any address inside an allocation names the whole allocation."""
    three = Three(bench)
    queue = three.queues[0]
    last = queue.migrate([memory + 4097 for memory in three.memory])
    last = three.stir(queue, [last])
    last = queue.migrate([memory + 64 for memory in three.memory], [0, 0, 0], after=[last])
    three.check(queue, [last])


def test_ranges_of_odd_bytes(bench):
    """Ranges that begin and end anywhere, overlap, and repeat."""
    a, b, c = (three := Three(bench)).memory
    first, second = three.queues
    last = first.migrate([a + 100, b + 17, c + 1000, a + 101, b + 19, c + 1017], [13, 23, 43, 3, 7, 11])
    last = three.stir(first, [last])
    first.flush()
    last = second.migrate([a + 8, b + 17, c + 31, c + 83], [0, 1, 3, 4099], after=[last])
    last = three.stir(second, [last])
    second.flush()
    last = first.migrate([a, a, b, c, c + SIZE - 1], [0, 1, 0, SIZE, 1], after=[last])
    last = three.stir(first, [last])
    three.check(first, [last])


def test_to_the_host_and_back(bench, cl):
    three = Three(bench)
    queue = three.queues[0]
    last = queue.migrate(three.memory, flags=cl.MIGRATE_TO_HOST)
    last = three.stir(queue, [last])
    last = queue.migrate([memory + 5 for memory in three.memory], [1, 4096, 0], cl.MIGRATE_TO_HOST, after=[last])
    three.check(queue, [last])


@pytest.mark.parametrize("where", ["device", "host"])
def test_with_undefined_content_it_is_written_anew(bench, cl, where):
    """After such a migration the contents are undefined until they are written."""
    three = Three(bench)
    first, second = three.queues
    flags = cl.MIGRATE_UNDEFINED | (cl.MIGRATE_TO_HOST if where == "host" else 0)
    last = second.migrate(three.memory, flags=flags)
    second.flush()
    for number, memory in enumerate(three.memory):
        last = first.fill(memory, u32(number + 40), SIZE, after=[last])
        three.words[number] = [number + 40] * COUNT
    last = three.stir(first, [last])
    three.check(first, [last])


def test_while_nothing_else_waits(bench, cl):
    """A migration waits for its events, and commands that wait for the migration come after it."""
    three = Three(bench)
    first, second = three.queues
    gate = cl.UserEvent(bench.context)
    moved = second.migrate(three.memory, after=[gate])
    second.flush()
    last = three.stir(first, [moved])
    first.flush()
    assert moved.status in ("queued", "submitted") and last.status in ("queued", "submitted")
    gate.set()
    three.check(first, [last])


def test_fine_grained_allocations(bench, cl):
    bench.require("fine-grain-buffer")
    queue, memory = bench.queue(), bench.level("fine").alloc(SIZE)
    memory.write(pattern(SIZE))
    queue.migrate([memory])
    queue.nd_range(bench.kernel("words.cl", "add", memory, u32(1)), [COUNT])
    queue.migrate([memory + 8192], [8192], cl.MIGRATE_TO_HOST)
    queue.finish()
    assert list(memory.words) == [(word + 1) % 2 ** 32 for word in memoryview(pattern(SIZE)).cast("I")]
