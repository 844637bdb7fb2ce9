"""A machine with mocked GPUs: what its /sys and /dev hold (Documentation/ABI, drivers/gpu/drm/amd/amdkfd/kfd_topology.c)."""

import os
import pathlib

import pytest

pytest.importorskip("gi", reason="python3-gi and gir1.2-umockdev-1.0 are not installed: ci/setup")
if "umockdev" not in os.environ.get("LD_PRELOAD", ""):
    pytest.skip("not under umockdev: umockdev-wrapper python3 -m pytest drm_glue/mocks", allow_module_level=True)

import device  # noqa: E402
from gi.repository import UMockdev  # noqa: E402

BUILD = pathlib.Path(os.environ.get("FAULTLINE_BUILD", pathlib.Path(__file__).resolve().parents[2] / "build"))
KFD = "/sys/devices/virtual/kfd/kfd"


def lines(properties):
    return "".join(f"{name} {value}\n" for name, value in properties.items())


class Machine:
    """One without a GPU."""

    def __init__(self):
        self.testbed = UMockdev.Testbed.new()
        self.devices = {}  # by node

    def add(self, path, node, subsystem):
        self.testbed.add_from_string(f"P: /{path}\nN: {node}\nE: DEVNAME=/dev/{node}\nE: SUBSYSTEM={subsystem}\n")

    def boot(self, node, driver):
        """Gives the node a driver that knows nothing of the clients before."""
        if node in self.devices:
            self.testbed.detach_ioctl(node)
        self.devices[node] = driver
        self.testbed.attach_ioctl(node, driver)

    def ask(self, *script, by="drm-requests", keep=()):
        """The answers of a program of ours, which end well whatever the kernel says."""
        done = device.run(self.testbed, [str(BUILD / by)], "\n".join(script) + "\n", keep=keep)
        assert done.returncode == 0 and (by != "drm-requests" or done.stderr == ""), done
        for each in self.devices.values():
            assert not [asked for asked in each.asked if asked[0] == "bug of the mock"], each.asked
        return done.stdout.splitlines()


class KfdMachine(Machine):
    """One with amdgpu and KFD: node 0 of the topology is the CPU, each GPU one behind it."""

    def __init__(self, gpus):
        super().__init__()
        self.add("devices/virtual/kfd/kfd", "kfd", "kfd")
        self.add_processors(2)
        self.put("topology/generation_id", "2\n")
        self.put("topology/system_properties", lines({"platform_oem": 0, "platform_id": 0, "platform_rev": 0}))
        self.add_topology(0, 0, "", {"cpu_cores_count": 2, "mem_banks_count": 1, "max_engine_clk_ccompute": 2000},
                          {"heap_type": 0, "size_in_bytes": 8 << 30, "flags": 0, "width": 64, "mem_clk_max": 1600})
        for i, gpu in enumerate(gpus):
            self.add_amdgpu(i, gpu)

    def put(self, name, text):
        self.testbed.set_attribute(KFD, name, text)

    def add_processors(self, count):
        for cpu in range(count):
            cache = {"level": 1, "type": "Data", "size": "32K", "shared_cpu_map": f"{1 << cpu:x}", "shared_cpu_list": cpu,
                     "coherency_line_size": 64, "ways_of_associativity": 8, "physical_line_partition": 1}
            self.testbed.add_from_string(f"P: /devices/system/cpu/cpu{cpu}\nE: SUBSYSTEM=cpu\n" + "".join(
                f"A: cache/index0/{name}={value}\n" for name, value in cache.items()))

    def add_topology(self, node, gpu, name, properties, memory):
        self.put(f"topology/nodes/{node}/gpu_id", f"{gpu}\n")
        self.put(f"topology/nodes/{node}/name", f"{name}\n")
        self.put(f"topology/nodes/{node}/properties", lines(properties))
        self.put(f"topology/nodes/{node}/mem_banks/0/properties", lines(memory))

    def add_amdgpu(self, index, gpu):
        """An MI200 (gfx90a), which recovers from page faults."""
        minor = 128 + index
        self.add(f"devices/pci0000:00/0000:{3 + index:02x}:00.0/drm/renderD{minor}", f"dri/renderD{minor}", "drm")
        self.add_topology(1 + index, gpu, "aldebaran", {
            "cpu_cores_count": 0, "simd_count": 416, "mem_banks_count": 1, "simd_id_base": 2147487744,
            "max_waves_per_simd": 8, "lds_size_in_kb": 64, "num_gws": 64, "wave_front_size": 64, "array_count": 32,
            "simd_arrays_per_engine": 1, "cu_per_simd_array": 16, "simd_per_cu": 4, "max_slots_scratch_cu": 32,
            "gfx_target_version": 90010, "vendor_id": 0x1002, "device_id": 0x7408, "location_id": (3 + index) << 8,
            "domain": 0, "drm_render_minor": minor, "num_sdma_engines": 2, "num_sdma_queues_per_engine": 8,
            "num_cp_queues": 24, "max_engine_clk_fcompute": 1700, "fw_version": 68, "capability": 746107520,
            "sdma_fw_version": 8, "unique_id": 1 + index, "max_engine_clk_ccompute": 2000},
            {"heap_type": 1, "size_in_bytes": 64 << 30, "flags": 0, "width": 4096, "mem_clk_max": 1600})
