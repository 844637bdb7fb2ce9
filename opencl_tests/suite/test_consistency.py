"""Memory consistency of fine-grained sharing with atomics: host and devices use the same memory while kernels run."""

import struct
import time

import pytest

from svm_kit import u32

pytestmark = pytest.mark.needs("atomics", "atomic:scope-all-devices", "version:2.0")

NODE = struct.Struct("<II")


def sharing(bench, name):
    """Allocates memory for atomics: fine-grained SVM, or system memory."""
    bench.require({"buffer": "fine-grain-buffer", "system": "fine-grain-system"}[name])
    bench.join_peers("atomics")
    return bench.atomic if name == "buffer" else bench.cl.SystemMemory


@pytest.fixture(params=["buffer", "system"])
def alloc(request, bench):
    return sharing(bench, request.param)


def ended(events):
    return all(event.status == "complete" for event in events)


@pytest.mark.parametrize("bins", [1, 2, 29])
def test_everybody_inserts_into_one_table(bench, alloc, bins):
    """Lock-free lists: nothing is lost, whether all fight for one head, one cache line, or several."""
    count, queues = 4096, bench.agents()
    nodes = alloc(NODE.size * (bins + count * (len(queues) + 1)))
    taken = alloc(4)
    nodes.write(bytes(nodes.size))
    taken.words[0] = bins
    events = []
    for queue in queues:
        events.append(queue.nd_range(bench.kernel("shared.cl", "insert", nodes, taken, u32(bins)), [count]))
        queue.flush()
    until = time.monotonic() + 10
    while taken.load() == bins and not ended(events) and time.monotonic() < until:
        pass  # until a device has begun
    for value in range(count):
        slot, head = taken.fetch_add(0, 1), value % bins * NODE.size + 4
        nodes.words[slot * 2] = value
        following = nodes.load(head)
        while True:
            nodes.store(slot * NODE.size + 4, following)
            before = nodes.compare_exchange(head, following, slot)
            if before == following:
                break
            following = before
    for queue in queues:
        queue.finish()
    content = list(NODE.iter_unpack(nodes.read()))
    seen = [0] * count
    for number in range(bins):
        slot = content[number][1]
        while slot:
            value, following = content[slot]
            assert value % bins == number
            seen[value] += 1
            slot = following
    assert set(seen) == {len(queues) + 1}


def test_the_host_watches_what_a_device_finds(bench, alloc):
    """The host sees each find, complete, while the kernel may still run. No find is lost or reported twice."""
    count, wanted = 1 << 16, {0, 3, 777, 40000, (1 << 16) - 1}
    words, found, places = alloc(4 * count), alloc(4), alloc(4 * 64)
    words.write(bytes(4 * count))
    places.write(bytes(4 * 64))
    found.words[0] = 0
    for place in wanted:
        words.words[place] = 7
    queue = bench.queue()
    event = queue.nd_range(bench.kernel("shared.cl", "find", words, u32(7), found, places), [count])
    queue.flush()
    seen, until = [], time.monotonic() + 20
    while len(seen) < 64 and time.monotonic() < until:
        done = event.status == "complete"  # read before the look: if complete, all finds are there
        place = places.load(4 * len(seen))
        if place:
            seen.append(place - 1)
        elif done:
            break
    assert sorted(seen) == sorted(wanted)
    assert found.load() == len(wanted)


def test_the_host_reads_what_a_device_published(bench, alloc):
    """Message passing: an acquire that sees the release also sees the plain stores before the release."""
    rounds, length = 2000, 16
    data, flag = alloc(4 * rounds * length), alloc(4)
    data.write(bytes(data.size))
    flag.words[0] = 0
    queue = bench.queue()
    event = queue.nd_range(bench.kernel("shared.cl", "publish", data, flag, u32(rounds), u32(length)), [1])
    queue.flush()
    view, seen, until = data.words, 0, time.monotonic() + 20
    while seen < rounds and time.monotonic() < until:
        done = event.status == "complete"
        for seen in range(seen, now := flag.load()):
            expected = list(range((seen + 1) * 1000, (seen + 1) * 1000 + length))
            assert list(view[seen * length:(seen + 1) * length]) == expected, f"round {seen + 1} of {now}"
        seen = now
        if done and seen < rounds and flag.load() < rounds:
            break
    queue.finish()
    assert seen == rounds


def test_a_device_reads_what_the_host_publishes(bench, alloc):
    """The same in the other direction. The specification does not promise when a running kernel sees a store. So it is a
    skip if the kernel gives up."""
    rounds, length = 300, 16
    data, flag, result = alloc(4 * rounds * length), alloc(4), alloc(8)
    data.write(bytes(data.size))
    flag.words[0] = 0
    result.write(u32(77) * 2)
    queue = bench.queue()
    kernel = bench.kernel("shared.cl", "follow", data, flag, result, u32(rounds), u32(length), u32(200_000_000))
    queue.nd_range(kernel, [1])
    queue.flush()
    view = data.words
    for number in range(1, rounds + 1):
        view[(number - 1) * length:number * length] = memoryview(
            b"".join(u32(number * 1000 + i) for i in range(length))).cast("I")
        flag.store(0, number)
    queue.finish(40)
    seen, torn = result.words
    assert torn == 0
    if seen < rounds:
        pytest.skip(f"{bench.name} saw {seen} of {rounds} rounds before its kernel gave up")


def test_everybody_counts(bench, alloc):
    """No addition to one counter is lost."""
    items, times, mine = 256, 400, 100_000
    counter, queues = alloc(4), bench.agents()
    counter.words[0] = 0
    for queue in queues:
        queue.nd_range(bench.kernel("shared.cl", "count_up", counter, u32(times)), [items])
        queue.flush()
    counter.fetch_add(0, 1, mine)
    for queue in queues:
        queue.finish()
    assert counter.load() == mine + len(queues) * items * times
