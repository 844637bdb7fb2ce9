"""What devices say about themselves."""

import os

import pytest

import svm_devices
from svm_kit import u32


def test_every_device_that_was_asked_for_is_here(request):
    asked = [name for name in os.environ.get("FAULTLINE_OPENCL_DEVICE", "").split(",") if name]
    if not asked:
        pytest.skip("FAULTLINE_OPENCL_DEVICE asks for no device: every one is tested")
    assert svm_devices.choose(svm_devices.find()[0], asked)[1] == []


def test_svm_capabilities_are_those_defined(bench):
    assert bench.device.svm_bits & ~0xf == 0
    if bench.device.svm:
        # OpenCL 3.0, 4.2: every level includes coarse-grained buffers. Atomics require a fine-grained level.
        assert "coarse-grain-buffer" in bench.device.svm
    if "atomics" in bench.device.svm:
        assert {"fine-grain-buffer", "fine-grain-system"} & set(bench.device.svm)


@pytest.mark.needs("version:3.0")
@pytest.mark.parametrize("what", ["atomics", "fences"])
def test_atomic_capabilities_include_the_weaker_ones(bench, what):
    has = set(getattr(bench.device, what))
    assert {"order-relaxed", "scope-work-group"} <= has
    if what == "fences":
        assert "order-acq-rel" in has
    weaker = [("order-acq-rel", "order-relaxed"), ("order-seq-cst", "order-acq-rel"),
              ("scope-device", "scope-work-group"), ("scope-all-devices", "scope-device")]
    assert not [(strong, weak) for strong, weak in weaker if strong in has and weak not in has]


@pytest.mark.needs("version:3.0", "atomic:scope-all-devices")
def test_the_scope_of_all_devices_is_a_feature_of_the_language(bench, cl):
    assert "__opencl_c_atomic_scope_all_devices" in bench.device.features
    cl.Program(bench.context, """
        __kernel void k(volatile __global atomic_uint* a) {
          atomic_store_explicit(a, 1u, memory_order_relaxed, memory_scope_all_svm_devices);
        }""", "-cl-std=CL3.0")


def test_without_svm_its_calls_are_invalid_operations(bench, cl):
    """See OpenCL 3.0, appendix on optional features: SVM."""
    if bench.device.svm:
        pytest.skip(f"{bench.name} has shared virtual memory")
    queue, somewhere = bench.queue(), 0xdead0000
    with pytest.raises(cl.Error):
        bench.svm(16)
    assert not cl.Buffer(bench.context, cl.READ_WRITE, 16).uses_svm_pointer
    kernel = bench.kernel("words.cl", "add", None, u32(1))
    for call in [lambda: queue.fill(somewhere, u32(1), 16), lambda: queue.memcpy(somewhere, somewhere + 64, 16),
                 lambda: queue.map(somewhere, 16), lambda: queue.unmap(somewhere), lambda: queue.migrate([somewhere]),
                 lambda: queue.free([somewhere]), lambda: kernel.set(0, 0), lambda: kernel.use([])]:
        with bench.fails("CL_INVALID_OPERATION"):
            call()
