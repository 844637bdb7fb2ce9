"""clSetKernelExecInfo: memory that a kernel reaches through pointers in other memory."""

import struct

import pytest

from svm_kit import u32, words

SIZE = 4096
COUNT = SIZE // 4


class Table:
    """A table of the addresses of rows. Its kernels do not know the rows yet: level.use() tells them."""

    def __init__(self, bench, level, rows):
        self.bench, self.level, self.queue = bench, level, bench.queue()
        self.rows = [level.alloc(SIZE) for _ in range(rows)]
        self.table = level.alloc(32)
        with level.host(self.queue, self.table, *self.rows):
            addresses = [row.address for row in self.rows] + [0] * (4 - rows)
            self.table.write(struct.pack("<4Q", *addresses))
            for number, row in enumerate(self.rows):
                row.write(u32(10 * number) * COUNT)

    def kernel(self, name, *more):
        return self.bench.kernel("indirect.cl", name, self.table, u32(len(self.rows)), *more)

    def run(self, kernel):
        self.queue.nd_range(kernel, [COUNT])

    def values(self):
        with self.level.host(self.queue, *self.rows):
            return [sorted(set(row.words)) for row in self.rows]


def test_rows_named_by_their_start(bench, level):
    table = Table(bench, level, 4)
    kernel = table.kernel("add_to_rows", u32(1))
    level.use(kernel, *table.rows)
    table.run(kernel)
    assert table.values() == [[1], [11], [21], [31]]


def test_a_row_named_by_a_place_in_its_middle(bench, level):
    """A pointer anywhere into an allocation names the whole allocation."""
    table = Table(bench, level, 3)
    kernel = table.kernel("sum_rows")
    level.use(kernel, table.rows[0] + 4, table.rows[1] + SIZE - 4, table.rows[2] + SIZE // 2)
    table.run(kernel)
    assert table.values() == [[30], [10], [20]]


def test_a_later_list_replaces_the_earlier_one(bench, level):
    one, other = Table(bench, level, 2), Table(bench, level, 2)
    kernel = one.kernel("add_to_rows", u32(1))
    level.use(kernel, *one.rows)
    one.run(kernel)
    assert one.values() == [[1], [11]]
    kernel.set(0, other.table)
    level.use(kernel, *other.rows)
    one.run(kernel)
    one.queue.finish()
    assert (one.values(), other.values()) == ([[1], [11]], [[1], [11]])


def test_an_empty_list_takes_it_back(bench, level):
    """After an empty list the kernel may touch only its arguments. So it gets a table without rows."""
    table = Table(bench, level, 2)
    kernel = table.kernel("add_to_rows", u32(1))
    level.use(kernel, *table.rows)
    table.run(kernel)
    level.use(kernel)
    kernel.set(1, u32(0))
    table.run(kernel)
    assert table.values() == [[1], [11]]
    kernel.set(1, u32(2))
    level.use(kernel, *table.rows)
    table.run(kernel)
    assert table.values() == [[2], [12]]


def test_what_the_host_changes_between_two_runs(bench, level):
    """Each time the device sees the rows as the host left them."""
    table = Table(bench, level, 3)
    kernel = table.kernel("sum_rows")
    level.use(kernel, *table.rows)
    for value in (5, 6, 7):
        with level.host(table.queue, table.rows[1]):
            table.rows[1].write(u32(value) * COUNT)
        table.run(kernel)
        assert table.values() == [[value + 20], [value], [20]]


def test_the_rows_of_a_clone(bench, level):
    """clCloneKernel copies the exec info. Later exec info belongs to one kernel only."""
    bench.require("version:2.1")
    one, other = Table(bench, level, 2), Table(bench, level, 2)
    kernel = one.kernel("add_to_rows", u32(1))
    level.use(kernel, *one.rows)
    clone = kernel.clone()
    one.run(clone)
    kernel.set(0, other.table)
    level.use(kernel, *other.rows)
    one.run(kernel)
    one.run(clone)
    one.queue.finish()
    assert (one.values(), other.values()) == ([[2], [12]], [[1], [11]])


def test_rows_of_different_kinds(bench, cl):
    """Rows of coarse-grained memory, fine-grained memory, and fine-grained memory with atomics, in one table."""
    bench.require("fine-grain-buffer", "atomics")
    level = bench.level("coarse")
    table = Table(bench, level, 1)
    fine, atomic = bench.level("fine").alloc(SIZE), bench.atomic(SIZE)
    fine.write(u32(100) * COUNT)
    atomic.write(u32(200) * COUNT)
    with level.host(table.queue, table.table):
        table.table.write(struct.pack("<3Q", table.rows[0].address, fine.address, atomic.address))
    kernel = bench.kernel("indirect.cl", "add_to_rows", table.table, u32(3), u32(7))
    kernel.use([table.rows[0], fine, atomic])
    table.run(kernel)
    assert table.values() == [[7]]
    assert (set(fine.words), set(atomic.words)) == ({107}, {207})


ARGUMENTS = {"undefined-name": (0x1234, words(0, 0), None), "null-with-a-size": ("EXEC_INFO_SVM_PTRS", None, 8),
             "part-of-a-pointer": ("EXEC_INFO_SVM_PTRS", b"abc", 3),
             "part-of-a-bool": ("EXEC_INFO_FINE_GRAIN_SYSTEM", b"a", 1)}


@pytest.mark.needs("coarse-grain-buffer")
@pytest.mark.parametrize("case", ARGUMENTS)
def test_exec_info_arguments(bench, cl, case):
    what, value, size = ARGUMENTS[case]
    kernel = bench.kernel("words.cl", "add")
    with bench.fails("CL_INVALID_VALUE"):
        kernel.set_exec_info(getattr(cl, what) if isinstance(what, str) else what, value, size)


@pytest.mark.needs("coarse-grain-buffer")
def test_system_memory_that_the_device_lacks(bench):
    if "fine-grain-system" in bench.device.svm:
        pytest.skip(f"{bench.name} has fine-grain-system")
    kernel = bench.kernel("words.cl", "add")
    kernel.use_system_memory(False)
    with bench.fails("CL_INVALID_OPERATION"):
        kernel.use_system_memory(True)
