"""Shared by the tests: one device with its context and queues, the levels of sharing, and the kernels."""

import contextlib
import itertools
import pathlib
import struct

import pytest

import svm_devices

KERNELS = pathlib.Path(__file__).with_name("kernels")

CAPABILITIES = {"coarse-grain-buffer": "CL_DEVICE_SVM_COARSE_GRAIN_BUFFER",
                "fine-grain-buffer": "CL_DEVICE_SVM_FINE_GRAIN_BUFFER",
                "fine-grain-system": "CL_DEVICE_SVM_FINE_GRAIN_SYSTEM",
                "atomics": "CL_DEVICE_SVM_ATOMICS"}


def u32(value):
    return struct.pack("<I", value & 0xffffffff)


def u64(value):
    return struct.pack("<Q", value)


def words(*values):
    return struct.pack(f"<{len(values)}I", *values)


def pattern(size, seed=1):
    """Bytes without a short period, so that a lost, moved or repeated part shows."""
    state, out = seed * 2654435761 % 2 ** 32 or 1, bytearray()
    while len(out) < size:
        state ^= state << 13 & 0xffffffff
        state ^= state >> 17
        state ^= state << 5 & 0xffffffff
        out += u32(state)
    return bytes(out[:size])


class Level:
    """How host and device share memory at one level, and what is needed between their accesses."""

    def __init__(self, bench, name):
        self.bench, self.name = bench, name
        self.flags = bench.cl.READ_WRITE | (bench.cl.FINE_GRAIN if name == "fine" else 0)

    def alloc(self, size, alignment=0, flags=None):
        if self.name == "system":
            return self.bench.cl.SystemMemory(size, max(alignment, 128))
        return self.bench.cl.SvmMemory(self.bench.context, self.flags if flags is None else flags, size, alignment)

    @contextlib.contextmanager
    def host(self, queue, *memories, flags=None):
        """In this context the host may read and write the memories. It comes after all earlier commands of the queue."""
        flags = self.bench.cl.MAP_READ | self.bench.cl.MAP_WRITE if flags is None else flags
        if self.name == "coarse":
            for memory in memories:
                queue.map(memory, memory.size, flags)
        else:
            queue.finish()
        yield
        if self.name == "coarse":
            for memory in memories:
                queue.unmap(memory)
            queue.finish()

    def use(self, kernel, *memories):
        """Tells the driver that the kernel reaches these memories through pointers."""
        if self.name == "system":
            kernel.use_system_memory(True)
        else:
            kernel.use(memories)

    def __repr__(self):
        return self.name


LEVELS = {"coarse": "coarse-grain-buffer", "fine": "fine-grain-buffer", "system": "fine-grain-system"}


class Bench:
    """One device under test. Made in the test's own process."""

    def __init__(self, name):
        self.cl = svm_devices.module()
        self.name = name
        self.platforms = self.cl.platforms()
        self.device = svm_devices.named_devices(self.platforms)[name]
        self._contexts = {}
        self.devices = [self.device]

    def require(self, *needs):
        """Skips the test, with the reason, if the device lacks one of these."""
        for need in needs:
            kind, _, value = need.partition(":")
            if need in CAPABILITIES and need not in self.device.svm:
                pytest.skip(f"{self.name} has no {need} ({CAPABILITIES[need]})")
            elif kind == "extension" and not self.device.has_extension(value):
                pytest.skip(f"{self.name} has no extension {value}")
            elif kind == "feature" and value not in self.device.features:
                pytest.skip(f"{self.name} has no OpenCL C feature {value}")
            elif kind == "version" and self.version < tuple(map(int, value.split("."))):
                pytest.skip(f"{self.name} is an OpenCL {self.version[0]}.{self.version[1]} device, before {value}")
            elif kind == "atomic" and value not in self.device.atomics:
                pytest.skip(f"{self.name} has no {value} atomics (CL_DEVICE_ATOMIC_MEMORY_CAPABILITIES)")
            elif need == "out-of-order" and not self.device.out_of_order:
                pytest.skip(f"{self.name} has no out-of-order queues (CL_DEVICE_QUEUE_ON_HOST_PROPERTIES)")
            elif need not in CAPABILITIES and need != "out-of-order" and \
                    kind not in ("extension", "feature", "version", "atomic"):
                raise ValueError(f"unknown need '{need}'")

    @property
    def version(self):
        return tuple(map(int, self.device.version.split()[1].split(".")))

    @property
    def context(self):
        """The context of all devices that the test has joined, this one first."""
        return self._contexts.setdefault(len(self.devices), None) or self._make()

    def _make(self):
        self._contexts[len(self.devices)] = context = self.cl.Context(self.devices)
        return context

    def join_peers(self, need):
        """Adds the platform's other devices with this level to the context, as further agents."""
        self.devices = [each for each in svm_devices.peers(self.platforms, self.device)
                        if each == self.device or need in each.svm]

    def queue(self, out_of_order=False, device=None, **more):
        return self.cl.Queue(self.context, device or self.device, out_of_order=out_of_order, **more)

    def agents(self):
        """A queue for each device of the context. Two queues if there is one device, so that work crosses queues."""
        devices = self.devices if len(self.devices) > 1 else self.devices * 2
        return [self.queue(device=each) for each in devices]

    def svm(self, size, flags=None, alignment=0):
        return self.cl.SvmMemory(self.context, self.cl.READ_WRITE if flags is None else flags, size, alignment)

    def atomic(self, size):
        return self.svm(size, self.cl.READ_WRITE | self.cl.FINE_GRAIN | self.cl.ATOMICS)

    def level(self, name):
        self.require(LEVELS[name])
        return Level(self, name)

    def kernel(self, file, name, *values, options=""):
        """A kernel from this file with its arguments: memory, buffers, bytes, or None for an argument that is set later."""
        source = (KERNELS / file).read_text()
        kernel = self.cl.Kernel(self.cl.Program(self.context, source, f"{self.standard} {options}".strip()), name)
        for index, value in enumerate(values):
            if value is not None:
                kernel.set(index, value)
        return kernel

    @property
    def standard(self):
        """Compiler options. all_svm_devices belongs to SVM atomics. Some drivers with SVM atomics do not define its feature
        macro (test_devices.py tests for that), so define it here."""
        if self.version < (3, 0):
            return "-cl-std=CL2.0"
        scope = "__opencl_c_atomic_scope_all_devices"
        missing = "atomics" in self.device.svm and scope not in self.device.features
        return "-cl-std=CL3.0" + (f" -D{scope}=1" if missing else "")

    def fails(self, *names):
        """A context that passes if a call fails with this error (CL_INVALID_VALUE), or with one of these."""
        return Fails(self.cl.Error, names)


class Fails:
    def __init__(self, error, names):
        self.error, self.names = error, names

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            pytest.fail(f"the call succeeded; it has to fail with {' or '.join(self.names)}")
        if not issubclass(kind, self.error):
            return False
        assert value.name in self.names, str(value)
        return True


def pairs(agents):
    """All pairs of a writing and a reading agent, including the host (None)."""
    return list(itertools.product([*agents, None], repeat=2))
