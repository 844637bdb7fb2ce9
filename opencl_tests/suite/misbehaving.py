"""Tests that go wrong in every way, for test_isolation.py. pytest does not collect this file by itself."""

import ctypes
import os
import time

from svm_kit import u32

SPIN = """
__kernel void spin(volatile __global uint* flag) { while (*flag == 0) {} }
"""


def test_first(bench):
    assert bench.device.svm


def test_crash(bench):
    bench.queue().finish()
    ctypes.string_at(0)


def test_after_a_crash(bench):
    bench.queue().finish()


def test_hang(bench):
    time.sleep(1000)


def test_exit(bench):
    os._exit(3)


def test_hung_kernel(bench, cl):
    """A kernel that never ends. The wait ends."""
    queue, flag = bench.queue(), bench.svm(4)
    queue.fill(flag, u32(0), 4).wait()
    kernel = cl.Kernel(cl.Program(bench.context, SPIN), "spin")
    kernel.set(0, flag)
    queue.nd_range(kernel, [1])
    queue.finish(2)


def test_wait_for_nothing(bench, cl):
    queue, memory = bench.queue(), bench.svm(4)
    queue.fill(memory, u32(0), 4, after=[cl.UserEvent(bench.context)]).wait(1)


def test_kernel_that_does_not_build(bench, cl):
    cl.Program(bench.context, "__kernel void k(__global int* a) { a[0] = nowhere; }")


def test_out_of_memory(bench):
    bench.svm(bench.device.max_allocation + 1)


def test_crash_in_teardown(bench, request):
    request.addfinalizer(os.abort)


def test_last(bench):
    bench.queue().finish()
