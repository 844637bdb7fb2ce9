"""What `faultline targets` says about GPUs, on mocked machines."""

import json

import device
import machines
from machine import Machine
from recording import HERE


def targets(machine, *options):
    """Gives one scenario file: a folder without scenarios would be bad usage."""
    scenario = machine.file("/one.scn")
    scenario.write_text('scenario one\n  "A page can be read."\nprocess P\n  a: 1 page anon rw = 7\nthread P.cpu\n'
                        "  r0 = load a[0]\nalways P:r0 = 7\n")
    return machine.run([str(device.BUILD / "faultline"), "targets", *options, str(scenario)], environment=HERE).stdout


def about_gpus(machine):
    text = targets(machine)
    return text[min(at for at in (text.find("\nGPU "), text.find("\nno GPU ")) if at >= 0) + 1:]


def test_amdgpu():
    assert about_gpus(machines.amdgpu()) == """\
GPU 0000:03:00.0  AMD 1002:7408 rev 00, AMD Instinct MI250X, gfx90a, 65536 MiB
  amdgpu 3.49.0 on /dev/dri/renderD128 and /dev/dri/card0
  SVM: faults are resolved while queues run (XNACK on); queues are stopped and restored (XNACK off)
  firmware: MEC=0x44, RLC=0x11, SDMA=0x8, PSP=0x270034
  parameters: amdgpu.noretry=-1, amdgpu.gpu_recovery=-1
  kernel: CONFIG_HSA_AMD=y, CONFIG_HSA_AMD_SVM=y, CONFIG_DEVICE_PRIVATE=y
  resets: VRAM lost 0 times
"""


def test_power():
    machine = machines.amdgpu()
    status = machine.file("/sys/devices/pci0000:00/0000:03:00.0/power/runtime_status")
    for state, said in (("suspended", ["suspended; the first request wakes it"]), ("active", []),
                        ("error", ["error; it cannot be woken, the kernel log tells more"])):
        status.write_text(state + "\n")
        assert [line.partition("power: ")[2] for line in about_gpus(machine).splitlines() if "power: " in line] == said


def test_several():
    lines = about_gpus(machines.mixed()).splitlines()
    assert [line for line in lines if line.startswith("GPU")] == [
        "GPU 0000:03:00.0  AMD 1002:7408 rev 00, AMD Instinct MI250X, gfx90a, 65536 MiB",
        "GPU 0000:04:00.0  AMD 1002:73bf rev 00, AMD Radeon RX 6900 XT, gfx1030, 16384 MiB",
        "GPU 0000:07:00.0  NVIDIA 10de:1b80 rev a1, NV134 (Pascal), 8192 MiB"]
    assert [line for line in lines if "SVM:" in line or "help" in line] == [
        "  SVM: queues are stopped and restored; XNACK is refused although gfx90a supports it: a process "
        "uses all GPUs, and another GPU lacks it",
        "    would help: a container or a machine without the other GPU",
        "  SVM: queues are stopped and restored; gfx1030 has no XNACK: KFD refuses it from gfx10 on",
        "  SVM: none; the kernel is built without CONFIG_DRM_NOUVEAU_SVM",
        "    would help: a kernel with CONFIG_DRM_NOUVEAU_SVM=y, which needs CONFIG_DEVICE_PRIVATE and CONFIG_STAGING"]


def test_what_is_not_known():
    machine = machines.amdgpu(working=False)
    machine.devices["/dev/kfd"].injected[1] = 12
    assert about_gpus(machine).splitlines()[-2:] == [
        "  not known: chip, VRAM, firmware, resets: EBADF", "  not known: XNACK: ENOMEM"]


def test_a_gpu_without_a_node():
    machine = Machine()
    machine.add_pci("0000:02:00.0", (0x10DE, 0x1B80, 0xA1), "vfio-pci", ())
    machine.add_pci("0000:03:00.0", (0x1002, 0x7408, 0), "", ())
    assert about_gpus(machine) == """\
GPU 0000:02:00.0  NVIDIA 10de:1b80 rev a1
  vfio-pci
  SVM: none; libdrm knows no render node of it in /dev/dri
    would help: the driver nouveau
GPU 0000:03:00.0  AMD 1002:7408 rev 00
  no driver
  SVM: none; it has no driver
    would help: the driver amdgpu
"""


def test_no_gpu():
    assert about_gpus(Machine()) == "no GPU here: no render node in /dev/dri\n"
    assert about_gpus(machines.simple_framebuffer()) == (
        "no GPU here: no render node in /dev/dri, only /dev/dri/card0, for pictures\n")


def test_a_render_node_without_its_sysfs():
    machine = Machine()
    machine.add_pci("0000:01:00.0", (0x1AF4, 0x1050, 1), "virtio-pci", (0, 128))
    assert about_gpus(machine).startswith("GPU 0000:01:00.0  1af4:1050 rev 01\n")
    machine.file("/sys/devices/pci0000:00/0000:01:00.0/uevent").write_text("odd\n")
    assert about_gpus(machine) == "no GPU here: there is /dev/dri/renderD128, but /sys does not tell libdrm which device it is\n"


def test_json():
    """Still an array of targets. The GPUs are in the entry of this machine."""
    rows = {row["target"]: row for row in json.loads(targets(machines.nouveau(), "--json"))}
    assert [word for word, row in rows.items() if "gpus" in row] == ["host"]
    gpu, = rows["host"]["gpus"]
    assert gpu["driver"] == "nouveau" and gpu["svm"] == ["recoverable"]
    assert {row["target"]: row for row in json.loads(targets(Machine(), "--json"))}["host"]["gpus"] == []


def test_control_characters():
    machine = machines.nouveau()
    machines.set_parameters(machine, "nouveau", config="\x1b[2J\xff")
    assert "  parameters: nouveau.config=?[2J" in about_gpus(machine)
    targets(machine, "--json").encode()
