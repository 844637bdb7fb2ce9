"""Fine-grained sharing: host and devices may store into neighbouring bytes at the same time."""

import pytest

from svm_kit import LEVELS, u32

SIZE = 1 << 16


@pytest.mark.parametrize("sharing", ["fine", "system"])
def test_neighbouring_bytes_of_all_agents(bench, sharing):
    """The agents take turns byte by byte. While the devices store to their bytes, the host stores a new value in each pass
    and checks that no device has put an old value back."""
    level = bench.level(sharing)
    bench.join_peers(LEVELS[sharing])
    queues = bench.agents()
    agents = len(queues) + 1
    memory, wrong = level.alloc(SIZE), level.alloc(4)
    wrong.words[0] = 0
    places = range(agents - 1, SIZE, agents)  # the last agent is the host

    def start(launches):
        memory.write(b"\xff" * SIZE)
        events = []
        for number, queue in enumerate(queues):
            kernel = bench.kernel("words.cl", "store_own_bytes", memory, u32(agents), u32(number), u32(3000))
            events += [queue.nd_range(kernel, [SIZE]) for _ in range(launches)]
        for queue in queues:
            queue.flush()
        return events

    def lost(value):
        with memoryview(memory) as bytes_:
            return [place for place in places if bytes_[place] != value]

    bench.cl.wait(start(1))  # build and load everything before the host begins
    for launches in (1, 30, 300):
        events, passes, running = start(launches), 0, True
        while running:
            value, passes = 100 + passes % 100, passes + 1
            with memoryview(memory) as bytes_:
                for place in places:
                    bytes_[place] = value
            assert lost(value) == [], f"bytes of {len(places)} that the host stored in pass {passes}"
            running = any(event.status != "complete" for event in events)
        for queue in queues:
            queue.finish()
        assert lost(value) == [], f"bytes of {len(places)} that the host stored last"
        if passes >= 3:
            break
    else:
        pytest.skip(f"the kernels of {bench.name} end before the host has stored anything")
    memory_bytes = bytearray(memory.read())
    memory_bytes[agents - 1::agents] = bytes([agents]) * len(places)
    memory.write(bytes(memory_bytes))
    assert [place for place, byte in enumerate(memory.read()) if byte != place % agents + 1] == []
    for queue in queues:
        queue.nd_range(bench.kernel("words.cl", "count_wrong_bytes", memory, u32(agents), wrong), [SIZE])
        queue.finish()
    assert wrong.words[0] == 0


@pytest.mark.parametrize("sharing", ["fine", "system"])
def test_no_map_is_needed_at_a_wait(bench, sharing):
    """Host and device see each other's plain stores at each wait."""
    level, queue = bench.level(sharing), bench.queue()
    memory = level.alloc(SIZE)
    kernel = bench.kernel("words.cl", "add", memory, u32(1))
    for turn in range(1, 20):
        memory.write(u32(turn * 100) * (SIZE // 4))
        queue.nd_range(kernel, [SIZE // 4]).wait()
        assert set(memory.words) == {turn * 100 + 1}
