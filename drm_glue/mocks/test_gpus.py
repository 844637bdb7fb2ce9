"""Discovery of GPUs on mocked machines, with unmodified libdrm and libdrm_amdgpu: what is there, why not more, errors at
every request, odd content."""

import errno
import grp
import json
import os
import pwd

import pytest

import device
import machines
from amdgpu import RESET_IN_PROGRESS
from drm import Drm
from kfd import Kfd
from machine import Machine
from machines import CAPABILITY, GPU, NODE, SVMAPI


def gpus(machine, **as_whom):
    done = machine.run([str(device.BUILD / "drm-requests")], "descriptors\ngpus\ngpus\ndescriptors\n", **as_whom)
    before, answer, again, after = done.stdout.splitlines()
    assert before == after and (answer == again or machine.injected())  # asking changes nothing
    return json.loads(answer.removeprefix("ok "))


def gpu(machine, **as_whom):
    one, = gpus(machine, **as_whom)
    return one


def svm(machine):
    one = gpu(machine)
    assert one["unknown"] == []
    return one["svm"], one["why_not"], one["help"]


def test_nouveau():
    assert gpu(machines.nouveau()) == {
        "render_node": NODE, "card_node": "/dev/dri/card0", "bus": "0000:01:00.0", "vendor": 0x10DE, "device": 0x1B80,
        "revision": 0xA1, "driver": "nouveau", "driver_version": "1.3.1", "chip": "NV134 (Pascal)", "vram": 8 << 30,
        "firmware": {}, "parameters": {"nouveau.config": "NvGspRm=0", "nouveau.modeset": "-1"},
        "kernel_config": {"CONFIG_DRM_NOUVEAU_SVM": "y", "CONFIG_DEVICE_PRIVATE": "y"}, "resets": "", "power": "", "kfd_id": 0,
        "svm": ["recoverable"], "why_not": "", "help": "", "unknown": []}


def test_amdgpu():
    assert gpu(machines.amdgpu()) == {
        "render_node": NODE, "card_node": "/dev/dri/card0", "bus": "0000:03:00.0", "vendor": 0x1002, "device": 0x7408,
        "revision": 0, "driver": "amdgpu", "driver_version": "3.49.0", "chip": "AMD Instinct MI250X, gfx90a",
        "vram": 64 << 30, "firmware": {"MEC": "0x44", "PSP": "0x270034", "RLC": "0x11", "SDMA": "0x8"},
        "parameters": {"amdgpu.noretry": "-1", "amdgpu.gpu_recovery": "-1"},
        "kernel_config": {"CONFIG_HSA_AMD": "y", "CONFIG_HSA_AMD_SVM": "y", "CONFIG_DEVICE_PRIVATE": "y"},
        "resets": "VRAM lost 0 times", "power": "", "kfd_id": GPU, "svm": ["recoverable", "preempt-and-restore"], "why_not": "", "help": "",
        "unknown": []}


@pytest.mark.parametrize("chipset, configured, why, help", [
    (0x164, True, "NV164 (Turing) is newer than Pascal: nouveau switches SVM off until channels can be recovered "
     "(nouveau_svm_init)", "a GPU with a Pascal chip"),
    (0x140, True, "NV140 (Volta) is newer than Pascal: nouveau switches SVM off until channels can be recovered "
     "(nouveau_svm_init)", "a GPU with a Pascal chip"),
    (0x12B, True, "NV12B (Maxwell) is older than Pascal: its faults cannot be replayed", "a GPU with a Pascal chip"),
    (0x13B, False, "the kernel is built without CONFIG_DRM_NOUVEAU_SVM",
     "a kernel with CONFIG_DRM_NOUVEAU_SVM=y, which needs CONFIG_DEVICE_PRIVATE and CONFIG_STAGING"),
    (0x130, True, "the driver could not set SVM up", "the kernel log tells more")])
def test_nouveau_without_svm(chipset, configured, why, help):
    assert svm(machines.nouveau(chipset=chipset, svm=False, configured=configured)) == ([], why, help)


@pytest.mark.parametrize("options, why, help", [
    ({"target": 100300, "device": 0x73BF, "revision": 0xC1}, "gfx1030 has no XNACK: KFD refuses it from gfx10 on", ""),
    ({"target": 90006}, "XNACK is off for gfx906: noretry=-1", "amdgpu.noretry=0 on the kernel's command line"),
    ({"target": 90006, "noretry": 0},
     "XNACK is refused although gfx906 supports it: a process uses all GPUs, and another GPU lacks it",
     "a container or a machine without the other GPU")])
def test_amdgpu_without_xnack(options, why, help):
    assert svm(machines.amdgpu(can_xnack=False, **options)) == (["preempt-and-restore"], why, help)


@pytest.mark.parametrize("options, why, help", [
    ({"target": 80003, "capability": CAPABILITY & ~SVMAPI}, "gfx803 is older than gfx9, the first that has SVM", ""),
    ({"capability": CAPABILITY & ~SVMAPI}, "KFD says that it has no SVM here", "the kernel log tells more"),
    ({"version": (1, 3)}, "KFD 1.3 has no SVM", "Linux 5.14 or newer")])
def test_amdgpu_without_svm(options, why, help):
    assert svm(machines.amdgpu(**options)) == ([], why, help)


def test_amdgpu_with_svm_switched_off_in_the_kernel():
    machine = machines.amdgpu(capability=CAPABILITY & ~SVMAPI)
    machines.configure(machine, HSA_AMD="y")
    assert svm(machine) == ([], "the kernel is built without CONFIG_HSA_AMD_SVM",
                            "a kernel with CONFIG_HSA_AMD_SVM=y, which needs CONFIG_DEVICE_PRIVATE=y")


def test_amdgpu_without_kfd():
    assert svm(machines.amdgpu_without_kfd()) == (
        [], "no /dev/kfd: the kernel is built without CONFIG_HSA_AMD", "a kernel with CONFIG_HSA_AMD=y and CONFIG_HSA_AMD_SVM=y")
    assert svm(machines.amdgpu_without_kfd(HSA_AMD="y")) == ([], "no /dev/kfd", "the kernel log tells why KFD did not start")


def test_a_gpu_that_kfd_does_not_drive():
    machine = machines.amdgpu_without_kfd(HSA_AMD="y")
    machine.add("devices/virtual/kfd/kfd", "kfd", "kfd")
    machine.boot("/dev/kfd", Kfd())
    assert svm(machine)[:2] == ([], "KFD does not drive this GPU, or does not show it to this process")


def test_resets():
    assert gpu(machines.amdgpu(vram_lost=1))["resets"] == "VRAM lost 1 time"
    assert gpu(machines.amdgpu(vram_lost=2, flags=RESET_IN_PROGRESS))["resets"] == "VRAM lost 2 times, a reset goes on"
    assert gpu(machines.amdgpu(working=False))["unknown"] == ["chip, VRAM, firmware, resets: EBADF"]


def test_several():
    """A gfx90a that has no XNACK because the other amdgpu GPU has none, and a GPU of nouveau."""
    found = gpus(machines.mixed())
    assert [(each["render_node"], each["chip"], each["svm"]) for each in found] == [
        (NODE, "AMD Instinct MI250X, gfx90a", ["preempt-and-restore"]),
        ("/dev/dri/renderD129", "AMD Radeon RX 6900 XT, gfx1030", ["preempt-and-restore"]),
        ("/dev/dri/renderD130", "NV134 (Pascal)", [])]
    assert [each["why_not"] for each in found] == [
        "XNACK is refused although gfx90a supports it: a process uses all GPUs, and another GPU lacks it",
        "gfx1030 has no XNACK: KFD refuses it from gfx10 on", "the kernel is built without CONFIG_DRM_NOUVEAU_SVM"]


def test_other_drivers():
    machine = machines.nouveau()
    machine.add_pci("0000:02:00.0", (0x10DE, 0x1B80, 0xA1), "vfio-pci", ())
    machine.add_pci("0000:03:00.0", (0x1002, 0x74A1, 0), "", (), pci_class=0x120000)
    machine.add_pci("0000:04:00.0", (0x1002, 0x7408, 0), "amdgpu", (), pci_class=0x038000)
    machine.add_pci("0000:05:00.0", (0x10DE, 0x10F0, 0xA1), "snd_hda_intel", (), pci_class=0x040300)
    machine.add_pci("0000:06:00.0", (0x1234, 0x1111, 2), "", ())
    machine.add_pci("0000:08:00.0", (0x10DE, 0x2330, 0xA1), "nvidia", (1, 129))
    machine.boot("/dev/dri/renderD129", Drm("nvidia-drm", (0, 0, 0), "20160202", "NVIDIA DRM driver"))
    assert [(each["bus"], each["driver"], each["why_not"], each["help"]) for each in gpus(machine)] == [
        ("0000:01:00.0", "nouveau", "", ""),
        ("0000:08:00.0", "nvidia-drm", "SVM is known of amdgpu and nouveau only", "the driver nouveau"),
        ("0000:02:00.0", "vfio-pci", "libdrm knows no render node of it in /dev/dri", "the driver nouveau"),
        ("0000:03:00.0", "", "it has no driver", "the driver amdgpu"),
        ("0000:04:00.0", "amdgpu", "libdrm knows no render node of it in /dev/dri", "the kernel log tells more")]


def test_none():
    assert gpus(machines.simple_framebuffer()) == []
    assert gpus(Machine()) == []


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="runs a program as another user: needs root")
A_GROUP = next((each for each in grp.getgrall() if each.gr_name in ("render", "video")), None)


def as_nobody(machine):
    try:
        return gpu(machine, user="nobody", group=pwd.getpwnam("nobody").pw_gid, extra_groups=[])
    except PermissionError:
        pytest.skip("the build is not readable for nobody")


@needs_root
@pytest.mark.skipif(A_GROUP is None, reason="no group render or video")
@pytest.mark.parametrize("node", [NODE, "/dev/kfd"])
def test_no_permission(node):
    machine = machines.amdgpu()
    for each in (NODE, "/dev/kfd"):
        machines.restrict(machine, each, 0o666, 0)
    assert as_nobody(machine)["why_not"] == ""
    machines.restrict(machine, node, 0o660, A_GROUP.gr_gid)
    found = as_nobody(machine)
    assert found["bus"] == "0000:03:00.0" and found["driver"] == "amdgpu" and found["svm"] == []
    assert found["why_not"] == f"no permission on {node}, which is for the group {A_GROUP.gr_name}"
    assert found["help"] == f"usermod -aG {A_GROUP.gr_name} nobody, and a new login"
    machines.restrict(machine, node, 0o600, A_GROUP.gr_gid)
    assert as_nobody(machine)["why_not"] == f"no permission on {node}, which is for root"


def requests():
    """All requests of each node, by number: each one gets an error in turn."""
    for make, node in ((machines.nouveau, NODE), (machines.amdgpu, NODE), (machines.amdgpu, "/dev/kfd")):
        machine = make()
        machine.ask("gpus")
        for at, asked in enumerate(machine.devices[node].asked):
            yield pytest.param(make, node, at, asked, id=f"{make.__name__}-{node.split('/')[-1]}-{at}")


healthy_answers = {}  # a cache by machine: they take a while


@pytest.mark.parametrize("error", [errno.EINTR, errno.ENOMEM, errno.ENODEV])
@pytest.mark.parametrize("make, node, at, asked", requests())
def test_an_error_at_every_request(make, node, at, asked, error):
    if make not in healthy_answers:
        healthy_answers[make] = gpu(make())
    healthy = healthy_answers[make]
    machine = make()
    machine.devices[node].injected[at] = error
    found = gpu(machine)
    if error == errno.EINTR or asked == ("ctx free", 2):  # nobody checks the end of a context
        assert found == healthy
        return
    name = errno.errorcode[error]
    assert all(found[key] == healthy[key] for key in ("bus", "driver", "parameters", "render_node"))
    # When the second version request fails, libdrm_amdgpu crashes.
    said = (": " + name, ": libdrm_amdgpu does not answer") if asked == ("drm version",) else ": " + name
    assert found["unknown"] and all(each.endswith(said) for each in found["unknown"])
    # Whatever the listing still says is right.
    for key in ("driver_version", "vram", "chip", "resets"):
        assert not found[key] or found[key] == healthy[key] or healthy[key].endswith(found[key])
    assert found["svm"] == healthy["svm"] or found["unknown"][-1].split(":")[0] in ("SVM", "XNACK")


def test_a_driver_that_hangs():
    """KFD hangs. Everything else is still listed."""
    machine = machines.amdgpu()
    machine.devices["/dev/kfd"].hangs_at = 1
    found, = json.loads(machine.ask("gpus")[0].removeprefix("ok "))
    assert found["unknown"] == ["SVM: KFD does not answer"] and found["chip"] == "AMD Instinct MI250X, gfx90a"


KFD = "/sys/devices/virtual/kfd/kfd/topology/nodes"


@pytest.mark.parametrize("path, content", [
    ("/proc/config.gz", b""), ("/proc/config.gz", b"\x1f\x8b\x08\x00 broken"), ("/proc/config.gz", bytes(range(256)) * 99),
    ("/sys/module/amdgpu/parameters/noretry", b""), ("/sys/module/amdgpu/parameters/noretry", b"\xff\xfe\x00\n\n"),
    (f"{KFD}/1/properties", b""), (f"{KFD}/1/properties", b"drm_render_minor -1\ncapability x\n"),
    (f"{KFD}/1/properties", b"drm_render_minor 128\ngfx_target_version 99999999999999999999999\n"),
    (f"{KFD}/1/properties", b"drm_render_minor 128\ncapability 4294967295\ngfx_target_version 4294967295\n"),
    (f"{KFD}/1/properties", b"\x00" * 5000), (f"{KFD}/x/properties", b"drm_render_minor 128\n"),
    ("/sys/devices/pci0000:00/0000:03:00.0/revision", b"odd"), ("/sys/devices/pci0000:00/0000:03:00.0/uevent", b"odd\n")])
def test_odd_content(path, content):
    machine = machines.amdgpu()
    machine.file(path).write_bytes(content)
    found = gpu(machine)
    assert found["bus"] == "0000:03:00.0" and found["driver"] == "amdgpu"
    assert found["render_node"] == ("" if "pci" in path else NODE)
