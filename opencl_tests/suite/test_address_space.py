"""One address space: one agent makes lists with addresses as links, and another agent follows them. For every pair of
agents (the devices of the platform, or two queues of one device, and the host), at each level of sharing."""

import struct

import pytest

from svm_kit import LEVELS, pairs, u32

LISTS, LENGTH = 64, 16
NODES = LISTS * LENGTH
NODE = struct.Struct("<QII")  # next, list, place
SIZE = NODES * NODE.size


class Lists:
    """Lists over one or two pools of nodes, at one level of sharing."""

    def __init__(self, bench, level, pools):
        self.bench, self.level = bench, level
        self.memory = [level.alloc(SIZE) for _ in range(pools)]
        self.first, self.second = self.memory[0], self.memory[-1]
        # The arguments of kernels: the memory, or buffers over it.
        self.arguments = {memory.address: memory for memory in self.memory}

    def argument(self, memory):
        return self.arguments[memory.address]

    def host(self, queue, *memories):
        return self.level.host(queue, *memories)

    def clear(self, queue):
        with self.host(queue, *self.memory):
            for memory in self.memory:
                memory.write(bytes(SIZE))

    def make_on_host(self, queue):
        with self.host(queue, *self.memory):
            taken = LISTS
            for number in range(LISTS):
                memory, slot = self.first, number
                for place in range(LENGTH):
                    here = (memory, slot)
                    memory = self.second if (number + place + 1) % 2 else self.first
                    slot, taken = taken, taken + (place + 1 < LENGTH)
                    following = memory + slot * NODE.size if place + 1 < LENGTH else 0
                    NODE.pack_into(here[0], here[1] * NODE.size, following, number, place)

    def make_on(self, queue):
        taken = self.level.alloc(4)
        with self.level.host(queue, taken):
            taken.words[0] = LISTS
        kernel = self.bench.kernel("lists.cl", "make", self.argument(self.first), self.argument(self.second), taken,
                                   u32(LENGTH))
        queue.nd_range(kernel, [LISTS])
        queue.finish()

    def count_on_host(self, queue):
        right = 0
        with self.host(queue, *self.memory):
            for number in range(LISTS):
                at = self.first + number * NODE.size
                for place in range(LENGTH):
                    owner = next((m for m in self.memory if m.address <= at < m.address + SIZE), None)
                    if not owner:
                        break
                    at, *found = NODE.unpack_from(owner, at - owner.address)
                    right += found == [number, place]
        return right

    def count_on(self, queue):
        right = self.level.alloc(4)
        with self.level.host(queue, right):
            right.words[0] = 0
        kernel = self.bench.kernel("lists.cl", "count", self.argument(self.first), right, u32(LENGTH))
        self.level.use(kernel, *self.memory)
        queue.nd_range(kernel, [LISTS])
        with self.level.host(queue, right):
            return right.words[0]

    def check(self, queues):
        for maker, reader in pairs(queues):
            self.clear(queues[0])
            self.make_on(maker) if maker else self.make_on_host(queues[0])
            right = self.count_on(reader) if reader else self.count_on_host(queues[0])
            names = [("host" if each is None else f"queue {queues.index(each)}") for each in (maker, reader)]
            assert right == NODES, f"made by {names[0]}, followed by {names[1]}"


class BufferLists(Lists):
    """The same with buffers over the memory: kernels get the buffers, and the host maps them."""

    def __init__(self, bench, level, pools, parts=1):
        super().__init__(bench, level, pools)
        cl = bench.cl
        self.buffers = {m.address: cl.Buffer(bench.context, cl.USE_HOST_PTR, SIZE, m) for m in self.memory}
        self.arguments = dict(self.buffers)
        self.parts = {a: [b.sub(p * SIZE // parts, SIZE // parts) for p in range(parts)]
                      for a, b in self.buffers.items()}

    def host(self, queue, *memories):
        return MappedBuffers(self, queue, memories)


class MappedBuffers:
    def __init__(self, lists, queue, memories):
        self.lists, self.queue, self.memories = lists, queue, memories

    def __enter__(self):
        cl = self.lists.bench.cl
        for memory in self.memories:
            buffer = self.lists.buffers[memory.address]
            address, _ = self.queue.map_buffer(buffer, cl.MAP_READ | cl.MAP_WRITE, 0, SIZE)
            assert address == memory.address

    def __exit__(self, *_):
        for memory in self.memories:
            self.queue.unmap_buffer(self.lists.buffers[memory.address], memory.address)
        self.queue.finish()


def join(bench, level):
    """Call this before any allocation: the context must include all the devices."""
    bench.join_peers(LEVELS[level.name])
    return bench.agents()


def test_lists_in_one_allocation(bench, level):
    queues = join(bench, level)
    Lists(bench, level, 1).check(queues)


def test_lists_across_allocations(bench, level):
    queues = join(bench, level)
    Lists(bench, level, 2).check(queues)


def test_lists_in_a_buffer(bench):
    level = bench.level("coarse")
    queues = join(bench, level)
    BufferLists(bench, level, 1).check(queues)


def test_lists_across_buffers(bench):
    level = bench.level("coarse")
    queues = join(bench, level)
    BufferLists(bench, level, 2).check(queues)


def test_lists_across_sub_buffers(bench):
    """Kernels get halves of both buffers. The counted lists start in one half, and their links lead to all four."""
    level = bench.level("coarse")
    queues = join(bench, level)
    lists = BufferLists(bench, level, 2, parts=2)
    lists.arguments = {address: parts[0] for address, parts in lists.parts.items()}
    for maker, reader in pairs(queues):
        lists.clear(queues[0])
        make_through_halves(bench, lists, maker) if maker else lists.make_on_host(queues[0])
        right = lists.count_on(reader) if reader else lists.count_on_host(queues[0])
        assert right == NODES


def make_through_halves(bench, lists, queue):
    taken = lists.level.alloc(4)
    with lists.level.host(queue, taken):
        taken.words[0] = LISTS
    parts = [part for address in (lists.first.address, lists.second.address) for part in lists.parts[address]]
    kernel = bench.kernel("halves.cl", "make", *parts, taken, u32(LENGTH), u32(NODES // 2))
    queue.nd_range(kernel, [LISTS])
    queue.finish()


def test_a_kernel_rewrites_what_the_host_linked(bench, level):
    """Host, device, host: the device changes nodes in place, and reaches them through links only."""
    queue = bench.queue()
    lists = Lists(bench, level, 2)
    lists.clear(queue)
    lists.make_on_host(queue)
    kernel = bench.kernel("lists.cl", "shift", lists.first, u32(LENGTH))
    level.use(kernel, *lists.memory)
    queue.nd_range(kernel, [LISTS])
    with level.host(queue, *lists.memory):
        places = sorted(place for memory in lists.memory for link, _, place in NODE.iter_unpack(memory.read()) if place)
    assert places == sorted(place + 1 for place in range(LENGTH) for _ in range(LISTS))
