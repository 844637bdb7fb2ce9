"""Mocked machines for the tests. Each function returns a booted Machine."""

import gzip
import os
import pathlib

from amdgpu import Amdgpu
from amdgpu_jobs import AmdgpuWithEngine
from drm import Drm, Nouveau
from kfd import Kfd
from kfd_events import KfdWithEvents
from machine import KfdMachine, Machine

NODE = "/dev/dri/renderD128"
SVMAPI = 0x08000000
CAPABILITY = 746107520
GPU = 0x1F2E


def configure(machine, **options):
    """Sets the kernel's configuration: options that are not named are not set."""
    text = "".join(f"CONFIG_{name}={value}\n" for name, value in options.items())
    text = "CONFIG_64BIT=y\n# CONFIG_DRM_NOUVEAU_SVM is not set\n" + text
    machine.file("/proc/config.gz").write_bytes(gzip.compress(text.encode()))


def set_parameters(machine, module, **values):
    for name, value in values.items():
        machine.file(f"/sys/module/{module}/parameters/{name}").write_text(f"{value}\n")


def nouveau(chipset=0x134, svm=True, configured=True, device=0x1B80):
    machine = Machine()
    machine.add_pci("0000:01:00.0", (0x10DE, device, 0xA1), "nouveau", (0, 128))
    set_parameters(machine, "nouveau", config="NvGspRm=0", modeset=-1)
    configure(machine, **({"DRM_NOUVEAU_SVM": "y"} if configured else {}), DEVICE_PRIVATE="y")
    machine.boot(NODE, Nouveau(svm=svm, chipset=chipset))
    return machine


def amdgpu(target=90010, capability=CAPABILITY, can_xnack=True, version=(1, 11), noretry=-1, device=0x7408, **options):
    machine = KfdMachine([])
    machine.add_amdgpu(0, GPU, device=device, target=target, capability=capability)
    set_parameters(machine, "amdgpu", noretry=noretry, gpu_recovery=-1)
    configure(machine, HSA_AMD="y", HSA_AMD_SVM="y", DEVICE_PRIVATE="y")
    machine.boot(NODE, Amdgpu(device=device, **options))
    machine.boot("/dev/kfd", Kfd(version=version, gpus=(GPU,), can_xnack=can_xnack))
    return machine


def working_amdgpu(fault="", gpu={}, **options):
    """An amdgpu with a working SDMA engine, and a KFD that tells of migrations."""
    machine = amdgpu(**options)
    machine.boot(NODE, AmdgpuWithEngine(machine.file("/gem"), NODE.rsplit("/", 1)[1], fault, **gpu))
    machine.boot("/dev/kfd", KfdWithEvents(machine.file("/smi").parent, gpus=(GPU,), can_xnack=options.get("can_xnack", True)))
    return machine


def amdgpu_without_kfd(**configuration):
    machine = Machine()
    machine.add_pci("0000:03:00.0", (0x1002, 0x7408, 0), "amdgpu", (0, 128))
    configure(machine, **configuration)
    machine.boot(NODE, Amdgpu())
    return machine


def simple_framebuffer():
    machine = Machine()
    path = "devices/platform/simple-framebuffer.0"
    machine.testbed.add_from_string(f"P: /{path}\nE: SUBSYSTEM=platform\nE: MODALIAS=platform:simple-framebuffer\n")
    machine.add_nodes(path, [0])
    machine.boot("/dev/dri/card0", Drm("simpledrm", (1, 0, 0), "20200625", "simple-framebuffer platform devices"))
    return machine


def mixed():
    """A gfx90a and a gfx1030 under one KFD, and nouveau beside them."""
    machine = amdgpu(can_xnack=False)
    machine.add_amdgpu(1, GPU + 1, device=0x73BF, target=100300)
    machine.boot("/dev/dri/renderD129", Amdgpu(device=0x73BF, revision=0xC0, family=143, vram=16 << 30))
    machine.add_pci("0000:07:00.0", (0x10DE, 0x1B80, 0xA1), "nouveau", (2, 130))
    machine.boot("/dev/dri/renderD130", Nouveau(svm=False))
    return machine


def restrict(machine, node, mode, group):
    """Gives the node to root and the group, with this mode. Opens the folders around it to everybody."""
    root = pathlib.Path(machine.testbed.get_root_dir())
    root.chmod(0o755)
    for each in root.glob("ioctl/**/*"):
        each.chmod(0o777)
    at = (root / node.lstrip("/")).resolve()
    os.chown(at, 0, group)
    at.chmod(mode)


def pocl_on(bus):
    """The environment in which PoCL plays the OpenCL driver of the GPU on this bus."""
    layer = pathlib.Path(__file__).resolve().parents[2] / "build/opencl/broken-driver.so"
    return {"OPENCL_LAYERS": str(layer), "FAULTLINE_OPENCL_FAULT": "on-a-bus", "FAULTLINE_OPENCL_BUS": str(bus),
            "OCL_ICD_VENDORS": "/etc/OpenCL/vendors/pocl.icd"}
