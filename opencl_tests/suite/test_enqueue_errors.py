"""Commands on shared memory must refuse these arguments, with the error that the specification names."""

import pytest

from svm_kit import u32

pytestmark = pytest.mark.needs("coarse-grain-buffer")

SIZE = 4096


@pytest.mark.parametrize("case", ["end-over-start", "start-over-end", "the-same", "one-byte"])
@pytest.mark.parametrize("blocking", [True, False])
def test_memcpy_over_itself(bench, case, blocking):
    queue, memory = bench.queue(), bench.svm(2 * SIZE)
    to, source = {"end-over-start": (SIZE // 2, 0), "start-over-end": (0, SIZE // 2), "the-same": (0, 0),
                  "one-byte": (SIZE - 1, 0)}[case]
    with bench.fails("CL_MEM_COPY_OVERLAP"):
        queue.memcpy(memory + to, memory + source, SIZE, blocking)


@pytest.mark.parametrize("case", ["to-null", "from-null"])
def test_memcpy_arguments(bench, case):
    queue, memory = bench.queue(), bench.svm(SIZE)
    with bench.fails("CL_INVALID_VALUE"):
        queue.memcpy(0 if case == "to-null" else memory, memory if case == "to-null" else 0, 64)


FILLS = {"to-null": dict(to=None), "to-misaligned": dict(offset=2), "pattern-null": dict(pattern=None, pattern_size=4),
         "pattern-empty": dict(pattern_size=0), "pattern-of-three": dict(pattern=b"abc", size=48),
         "pattern-of-256": dict(pattern=bytes(256), size=256), "size-not-a-multiple": dict(size=42)}


@pytest.mark.parametrize("case", FILLS)
def test_fill_arguments(bench, case):
    queue, memory = bench.queue(), bench.svm(SIZE)
    case = dict(to=memory, offset=0, pattern=u32(1), size=64, pattern_size=None) | FILLS[case]
    to = case["to"] + case["offset"] if case["to"] else 0
    with bench.fails("CL_INVALID_VALUE"):
        queue.fill(to, case["pattern"], case["size"], pattern_size=case["pattern_size"])


@pytest.mark.parametrize("case", ["null", "empty"])
def test_map_arguments(bench, case):
    queue, memory = bench.queue(), bench.svm(SIZE)
    with bench.fails("CL_INVALID_VALUE"):
        queue.map(0, 64) if case == "null" else queue.map(memory, 0)


def test_map_with_undefined_flags(bench):
    queue, memory = bench.queue(), bench.svm(SIZE)
    with bench.fails("CL_INVALID_VALUE"):
        queue.map(memory, 64, 1 << 20)


def test_unmap_of_null(bench):
    with bench.fails("CL_INVALID_VALUE"):
        bench.queue().unmap(0)


@pytest.mark.parametrize("case", ["pointers-without-a-count", "a-count-without-pointers"])
def test_free_arguments(bench, case):
    queue, memory = bench.queue(), bench.svm(SIZE)
    with bench.fails("CL_INVALID_VALUE"):
        queue.free([memory], count=0) if case == "pointers-without-a-count" else queue.free([], count=1)


@pytest.mark.needs("version:2.1")
@pytest.mark.parametrize("case", ["nothing", "undefined-flags"])
def test_migrate_arguments(bench, case):
    queue, memory = bench.queue(), bench.svm(SIZE)
    with bench.fails("CL_INVALID_VALUE"):
        queue.migrate([]) if case == "nothing" else queue.migrate([memory], flags=1 << 20)


@pytest.mark.needs("version:2.1")
@pytest.mark.parametrize("case", ["too-long", "over-the-end", "not-an-allocation"])
def test_migrate_outside_of_an_allocation(bench, cl, case):
    queue, memory, system = bench.queue(), bench.svm(SIZE), cl.SystemMemory(SIZE)
    where, size = {"too-long": (memory + 0, SIZE + 1), "over-the-end": (memory + 64, SIZE),
                   "not-an-allocation": (system + 0, 64)}[case]
    with bench.fails("CL_INVALID_VALUE"):
        queue.migrate([where], [size])


@pytest.mark.parametrize("command", ["map", "unmap", "memcpy", "fill", "migrate", "free"])
def test_an_invalid_event_to_wait_for(bench, command):
    if command == "migrate":
        bench.require("version:2.1")
    queue, memory, other = bench.queue(), bench.svm(SIZE), bench.svm(SIZE)
    if command == "unmap":
        queue.map(memory, SIZE)
    arguments = {"map": (memory, SIZE), "unmap": (memory,), "memcpy": (other, memory, SIZE),
                 "fill": (memory, u32(1), SIZE), "migrate": ([memory],), "free": ([memory],)}
    with bench.fails("CL_INVALID_EVENT_WAIT_LIST"):
        getattr(queue, command)(*arguments[command], after=[None])


@pytest.mark.parametrize("command", ["map", "memcpy"])
def test_a_blocking_command_after_one_that_failed(bench, cl, command):
    """The command fails with the wait list's error."""
    queue, memory, other = bench.queue(deadline=3), bench.svm(SIZE), bench.svm(SIZE)
    failed = cl.UserEvent(bench.context)
    failed.set(-1)
    with bench.fails("CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST"):
        if command == "map":
            queue.map(memory, SIZE, after=[failed])
        else:
            queue.memcpy(other, memory, SIZE, True, after=[failed])


def test_an_event_of_another_context(bench, cl):
    queue, memory = bench.queue(), bench.svm(SIZE)
    foreign = cl.UserEvent(cl.Context([bench.device]))
    for call in (lambda: queue.fill(memory, u32(1), SIZE, after=[foreign]),
                 lambda: queue.map(memory, SIZE, blocking=False, after=[foreign])):
        with bench.fails("CL_INVALID_CONTEXT"):
            call()
