"""Fine-grained sharing: host and devices may store into neighbouring bytes at the same time."""

import pytest

from svm_kit import u32

SIZE = 1 << 16


@pytest.mark.parametrize("sharing", ["fine", "system"])
def test_neighbouring_bytes_of_all_agents(bench, sharing):
    level = bench.level(sharing)
    bench.join_peers({"fine": "fine-grain-buffer", "system": "fine-grain-system"}[sharing])
    queues = bench.agents()
    agents = len(queues) + 1
    memory, wrong = level.alloc(SIZE), level.alloc(4)
    memory.write(b"\xff" * SIZE)
    wrong.words[0] = 0
    events = []
    for number, queue in enumerate(queues):
        kernel = bench.kernel("words.cl", "store_own_bytes", memory, u32(agents), u32(number), u32(300))
        events.append(queue.nd_range(kernel, [SIZE]))
        queue.flush()
    with memoryview(memory) as bytes_:  # the last agent is the host
        while any(event.status != "complete" for event in events):
            for place in range(agents - 1, SIZE, agents):
                bytes_[place] = agents
        for place in range(agents - 1, SIZE, agents):
            assert bytes_[place] == agents, f"the host's byte {place} is lost"
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
