"""A machine with mocked GPUs: what its /sys and /dev hold (Documentation/ABI, drivers/gpu/drm/amd/amdkfd/kfd_topology.c)."""

import os
import pathlib

import pytest

pytest.importorskip("gi", reason="python3-gi and gir1.2-umockdev-1.0 are not installed: ci/setup")
if "umockdev" not in os.environ.get("LD_PRELOAD", ""):
    pytest.skip("not under umockdev: umockdev-wrapper python3 -m pytest drm_glue/mocks", allow_module_level=True)

import device  # noqa: E402
from amdgpu import Amdgpu  # noqa: E402
from gi.repository import UMockdev  # noqa: E402

KFD = "/sys/devices/virtual/kfd/kfd"


def lines(properties):
    return "".join(f"{name} {value}\n" for name, value in properties.items())


class Machine:
    """A machine without a GPU."""

    def __init__(self):
        self.testbed = UMockdev.Testbed.new()
        self.devices = {}  # by node

    def add(self, path, node, subsystem, more=""):
        self.testbed.add_from_string(f"P: /{path}\nN: {node}\nE: DEVNAME=/dev/{node}\nE: SUBSYSTEM={subsystem}\n{more}")

    def add_pci(self, slot, ids, driver, minors, pci_class=0x030000):
        """A GPU with DRM nodes: card0, renderD128 ... by their minors."""
        path = f"devices/pci0000:00/{slot}"
        attributes = dict(zip(("vendor", "device", "revision"), ids)) | {"subsystem_vendor": ids[0], "subsystem_device": 1,
                                                                               "class": pci_class}
        link = f"L: driver=../../../bus/pci/drivers/{driver}\n" if driver else ""
        self.testbed.add_from_string(
            f"P: /{path}\nE: SUBSYSTEM=pci\nE: PCI_SLOT_NAME={slot}\n{link}"
            + "".join(f"A: {name}={value:#x}\n" for name, value in attributes.items()))
        self.add_nodes(path, minors)

    def add_nodes(self, path, minors):
        for minor in minors:
            name = f"renderD{minor}" if minor >= 128 else f"card{minor}"
            self.add(f"{path}/drm/{name}", f"dri/{name}", "drm",
                     f"E: MAJOR=226\nE: MINOR={minor}\nA: dev=226:{minor}\nL: device=../../../{path.split('/')[-1]}\n")

    def file(self, path):
        """The path of one of the machine's files, such as "/proc/config.gz". Makes its folder."""
        at = pathlib.Path(self.testbed.get_root_dir() + path)
        at.parent.mkdir(parents=True, exist_ok=True)
        return at

    def boot(self, node, driver):
        """Gives the node a new driver, which does not know earlier clients."""
        if node in self.devices:
            self.testbed.detach_ioctl(node)
        self.devices[node] = driver
        self.testbed.attach_ioctl(node, driver)

    def injected(self):
        return any(each.injected for each in self.devices.values())

    def ask(self, *script, by="drm-requests", keep=()):
        """The answers of one of our request programs."""
        done = self.run([str(device.BUILD / by)], "\n".join(script) + "\n", keep=keep)
        assert by != "drm-requests" or done.stderr == "", done
        return done.stdout.splitlines()

    def run(self, command, stdin="", **options):
        done = device.run(self.testbed, command, stdin, **options)
        assert done.returncode == 0, done
        for each in self.devices.values():
            assert not [asked for asked in each.asked if asked[0] == "bug of the mock"], each.asked
        return done


class KfdMachine(Machine):
    """A machine with amdgpu and KFD: node 0 of the topology is the CPU, then one node per GPU."""

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

    def add_amdgpu(self, index, gpu, device=0x7408, target=90010, capability=746107520):
        """By default an MI200 (gfx90a), which recovers from page faults."""
        minor = 128 + index
        self.add_pci(f"0000:{3 + index:02x}:00.0", (0x1002, device, 0), "amdgpu", (index, minor))
        self.boot(f"/dev/dri/renderD{minor}", Amdgpu(device=device))
        self.add_topology(1 + index, gpu, "aldebaran", {
            "cpu_cores_count": 0, "simd_count": 416, "mem_banks_count": 1, "simd_id_base": 2147487744,
            "max_waves_per_simd": 8, "lds_size_in_kb": 64, "num_gws": 64, "wave_front_size": 64, "array_count": 32,
            "simd_arrays_per_engine": 1, "cu_per_simd_array": 16, "simd_per_cu": 4, "max_slots_scratch_cu": 32,
            "gfx_target_version": target, "vendor_id": 0x1002, "device_id": device, "location_id": (3 + index) << 8,
            "domain": 0, "drm_render_minor": minor, "num_sdma_engines": 2, "num_sdma_queues_per_engine": 8,
            "num_cp_queues": 24, "max_engine_clk_fcompute": 1700, "fw_version": 68, "capability": capability,
            "sdma_fw_version": 8, "unique_id": 1 + index, "max_engine_clk_ccompute": 2000},
            {"heap_type": 1, "size_in_bytes": 64 << 30, "flags": 0, "width": 4096, "mem_clk_max": 1600})
