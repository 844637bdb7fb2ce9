"""clSVMAlloc: all flags, sizes and alignments that it must accept, and those that it must refuse."""

import pytest

from svm_kit import pattern

pytestmark = pytest.mark.needs("coarse-grain-buffer")

ACCESS = ["READ_WRITE", "WRITE_ONLY", "READ_ONLY", ""]
SHARING = [(), ("FINE_GRAIN",), ("FINE_GRAIN", "ATOMICS")]


def flags_of(cl, *names):
    flags = 0
    for name in names:
        flags |= getattr(cl, name) if name else 0
    return flags


def require_sharing(bench, sharing):
    if "FINE_GRAIN" in sharing:
        bench.require("fine-grain-buffer")
    if "ATOMICS" in sharing:
        bench.require("atomics")


@pytest.mark.parametrize("sharing", SHARING, ids=lambda names: "+".join(names) or "coarse")
@pytest.mark.parametrize("access", ACCESS, ids=lambda name: name or "default")
def test_flags(bench, cl, access, sharing):
    require_sharing(bench, sharing)
    queue = bench.queue()
    memory = bench.svm(1024, flags_of(cl, access, *sharing))
    queue.map(memory, 1024)
    memory.write(pattern(1024))
    queue.unmap(memory)
    queue.map(memory, 1024, cl.MAP_READ)
    assert memory.read() == pattern(1024)
    queue.unmap(memory)
    queue.finish()


@pytest.mark.parametrize("alignment", [0, 1, 2, 4, 8, 16, 32, 64, 128])
def test_alignment(bench, alignment):
    """Alignments up to that of long16. 0 means the largest type of the implementation: 128 in the full profile."""
    several = [bench.svm(24, alignment=alignment) for _ in range(16)]
    assert not [memory.address for memory in several if memory.address % (alignment or 128)]


@pytest.mark.parametrize("size", [1, 3, 127, 4095, 4097, 1 << 20])
def test_sizes_do_not_overlap(bench, cl, size):
    queue = bench.queue()
    several = [bench.svm(size) for _ in range(4)]
    for number, memory in enumerate(several):
        queue.map(memory, size, cl.MAP_WRITE)
        memory.write(pattern(size, number + 1))
        queue.unmap(memory)
    for number, memory in enumerate(several):
        queue.map(memory, size, cl.MAP_READ)
        assert memory.read() == pattern(size, number + 1)
        queue.unmap(memory)
    queue.finish()


@pytest.mark.parametrize("size", [0, "over the maximum"])
def test_size_out_of_range(bench, cl, size):
    with pytest.raises(cl.Error, match="clSVMAlloc"):
        bench.svm(bench.device.max_allocation + 1 if size else 0)


@pytest.mark.parametrize("alignment", [3, 6, 24, 100, 127])
def test_alignment_that_is_no_power_of_two(bench, cl, alignment):
    with pytest.raises(cl.Error, match="clSVMAlloc"):
        bench.svm(64, alignment=alignment)


@pytest.mark.parametrize("names", [("READ_WRITE", "WRITE_ONLY"), ("READ_WRITE", "READ_ONLY"),
                                   ("WRITE_ONLY", "READ_ONLY"), ("READ_WRITE", "ATOMICS"), ("ATOMICS",)], ids="+".join)
def test_flags_that_exclude_each_other(bench, cl, names):
    with pytest.raises(cl.Error, match="clSVMAlloc"):
        bench.svm(64, flags_of(cl, *names))


@pytest.mark.parametrize("name", ["USE_HOST_PTR", "ALLOC_HOST_PTR", "COPY_HOST_PTR", "HOST_WRITE_ONLY",
                                  "HOST_READ_ONLY", "HOST_NO_ACCESS", "undefined"])
def test_flags_that_are_not_of_svm(bench, cl, name):
    with pytest.raises(cl.Error, match="clSVMAlloc"):
        bench.svm(64, cl.READ_WRITE | getattr(cl, name, 1 << 30))


@pytest.mark.parametrize("sharing", SHARING[1:], ids="+".join)
def test_sharing_that_the_device_lacks(bench, cl, sharing):
    has = "atomics" if "ATOMICS" in sharing else "fine-grain-buffer"
    if has in bench.device.svm:
        pytest.skip(f"{bench.name} has {has}")
    with pytest.raises(cl.Error, match="clSVMAlloc"):
        bench.svm(64, flags_of(cl, "READ_WRITE", *sharing))


def test_free_and_allocate_again(bench, cl):
    """Freed memory can be allocated again: many more allocations, one after the other, than fit at once."""
    queue = bench.queue()
    size = min(bench.device.max_allocation // 4, 64 << 20)
    for round_ in range(40):
        memory = bench.svm(size)
        queue.map(memory, size, cl.MAP_WRITE)
        memory.write(pattern(4096, round_ + 1), size - 4096)
        queue.unmap(memory)
        queue.finish()
        memory.free()
