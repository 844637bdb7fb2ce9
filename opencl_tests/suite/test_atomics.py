"""Each atomic operation in a kernel, on fine-grained memory with atomics, at the scope of all devices. Meanwhile the host
uses its own atomics on the same cells."""

import struct

import pytest

from svm_kit import u32, u64

pytestmark = pytest.mark.needs("atomics", "atomic:scope-all-devices", "version:2.0")

COUNT = 512
TYPES = {"uint": ("uint", "atomic_uint", "I", 4), "ulong": ("ulong", "atomic_ulong", "Q", 8),
         "int": ("int", "atomic_int", "i", 4)}
ORDERS = {"relaxed": "memory_order_relaxed", "acq-rel": "memory_order_acq_rel", "seq-cst": "memory_order_seq_cst"}


class Cells:
    def __init__(self, bench, kind, order, mode, cells=1, start=0):
        self.type, self.atomic, self.code, self.width = TYPES[kind]
        if self.width == 8:
            bench.require("extension:cl_khr_int64_base_atomics", "extension:cl_khr_int64_extended_atomics")
        if order != "relaxed":
            bench.require(f"atomic:order-{order}")
        self.bench, self.queue = bench, bench.queue()
        self.cells, self.result = bench.atomic(self.width * cells), bench.level("fine").alloc(self.width * COUNT)
        self.cells.write(struct.pack(f"<{cells}{self.code}", *[start] * cells))
        self.result.write(bytes(self.result.size))
        ordering = {"LOAD": "memory_order_acquire", "STORE": "memory_order_release"}.get(mode)
        ordering = ordering if ordering and order == "acq-rel" else ORDERS[order]
        self.options = f"-D{mode} -DTYPE={self.type} -DATOMIC={self.atomic} -DORDER={ordering} " \
            f"-DSCOPE=memory_scope_all_svm_devices" + (" -DWIDE" if self.width == 8 else "")

    def run(self, name):
        kernel = self.bench.kernel("atomics.cl", name, self.cells, self.result, options=self.options)
        event = self.queue.nd_range(kernel, [COUNT], [COUNT // 16])
        self.queue.flush()
        return event

    def results(self):
        return [each for each, in struct.iter_unpack("<" + self.code, self.result.read())]

    def values(self):
        return [each for each, in struct.iter_unpack("<" + self.code, self.cells.read())]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", TYPES)
def test_fetch_add_and_sub(bench, kind, order):
    """Sums are right, and all old values differ."""
    cells = Cells(bench, kind, order, "CELL", start=1 << 20)
    cells.run("fetch_add").wait()
    assert cells.values() == [(1 << 20) + COUNT * (COUNT - 1) // 2]
    assert (1 << 20) in cells.results()
    cells.run("fetch_sub").wait()
    assert cells.values() == [1 << 20]


@pytest.mark.parametrize("kind", TYPES)
def test_fetch_or_and_xor(bench, kind):
    cells = Cells(bench, kind, "seq-cst", "CELL", start=0)
    cells.run("fetch_or").wait()
    every = -1 if kind == "int" else 2 ** (8 * cells.width) - 1
    assert cells.values() == [every]
    cells.run("fetch_and").wait()
    assert cells.values() == [0]
    cells.run("fetch_xor").wait()  # each bit an even number of times
    assert COUNT // (8 * cells.width) % 2 == 0 and cells.values() == [0]
    assert any(cells.results())


@pytest.mark.parametrize("kind", TYPES)
def test_fetch_min_and_max(bench, kind):
    cells = Cells(bench, kind, "seq-cst", "CELL", start=100)
    cells.run("fetch_max").wait()
    assert cells.values() == [COUNT - 1]
    assert all(result >= 100 for result in cells.results())
    cells.run("fetch_min").wait()
    assert cells.values() == [0]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", TYPES)
def test_exchange(bench, kind, order):
    """Each value comes out exactly once: another work-item gets it, or it is there at the end."""
    cells = Cells(bench, kind, order, "CELL")
    cells.run("exchange").wait()
    assert sorted(cells.results() + cells.values()) == list(range(COUNT + 1))


@pytest.mark.parametrize("strength", ["strong", "weak"])
@pytest.mark.parametrize("order", ORDERS)
def test_compare_exchange(bench, order, strength):
    """Each number has one winner, also when the host competes."""
    cells = Cells(bench, "uint", order, "CELL")
    event = cells.run(f"compare_{strength}")
    mine = []
    while len(mine) < 1000:
        before = cells.cells.load()
        if cells.cells.compare_exchange(0, before, before + 1) == before:
            mine.append(before)
    event.wait()
    assert sorted(cells.results() + mine) == list(range(COUNT + 1000))
    assert cells.values() == [COUNT + 1000]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", TYPES)
def test_store_and_load(bench, kind, order):
    stored = Cells(bench, kind, order, "STORE", COUNT)
    stored.run("store").wait()
    assert stored.values() == [i * 3 + 1 for i in range(COUNT)]
    loaded = Cells(bench, kind, order, "LOAD", COUNT)
    loaded.cells.write(stored.cells.read())
    loaded.run("load").wait()
    assert loaded.results() == [i * 3 + 1 for i in range(COUNT)]


def test_init(bench):
    cells = Cells(bench, "uint", "relaxed", "STORE", COUNT)
    cells.run("init").wait()
    assert cells.values() == [i * 3 + 1 for i in range(COUNT)]


def test_host_and_device_add_to_one_cell(bench):
    """The host's atomics and the device's exclude each other, 32 and 64 bits wide."""
    for kind, suffix in (("uint", ""), ("ulong", "64")):
        cells = Cells(bench, kind, "relaxed", "CELL")
        event = cells.run("fetch_add")
        getattr(cells.cells, "fetch_add" + suffix)(0, 1, 20000)
        event.wait()
        assert cells.values() == [COUNT * (COUNT - 1) // 2 + 20000]


def test_a_flag_is_a_lock(bench):
    """A plain counter under an atomic_flag lock loses nothing. One work-item per group: work-items of a group may run in
    lockstep and would never get the lock."""
    flag, result, queue = bench.atomic(4), bench.level("fine").alloc(4), bench.queue()
    flag.write(u32(0))
    result.write(u32(0))
    options = "-DFLAG -DTYPE=uint -DSCOPE=memory_scope_all_svm_devices"
    queue.nd_range(bench.kernel("atomics.cl", "flag", flag, result, options=options), [COUNT], [1]).wait()
    assert list(result.words) == [COUNT]


def test_fences_order_plain_accesses(bench):
    count, queue = 1 << 14, bench.queue()
    flags, data, result = bench.atomic(4 * count), bench.atomic(4 * count), bench.level("fine").alloc(4 * count)
    options = "-DFENCE -DTYPE=uint -DSCOPE=memory_scope_all_svm_devices"
    if "scope-all-devices" not in bench.device.fences:
        options = options.replace("all_svm_devices", "device")
        bench.require("atomic:scope-device")
    kernel = bench.kernel("atomics.cl", "fence", data, flags, result, options=options)
    for _ in range(10):
        for memory in (flags, data, result):
            memory.write(bytes(memory.size))
        queue.nd_range(kernel, [2 * count], [64]).wait()
        assert 2 not in set(result.words)
    assert set(data.words[:4]) == {1, 8, 15, 22}


def test_64_bit_atomics_of_the_host_are_seen(bench):
    cells = Cells(bench, "ulong", "seq-cst", "LOAD", COUNT)
    for i in range(COUNT):
        cells.cells.store64(8 * i, i << 33 | 5)
    cells.run("load").wait()
    assert cells.results() == [i << 33 | 5 for i in range(COUNT)]
    assert u64(cells.results()[1]) == cells.cells.read(8, 8)
