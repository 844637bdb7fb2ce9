"""`ci/nightly --check` on mocked machines: it accepts the right machine, and names each thing that is missing, with what would
help."""

import os
import pathlib
import pwd

import pytest

import device
import machines
from machine import Machine
from machines import NODE

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUS = "0000:03:00.0"
AMDGPU = {"DRM_AMDGPU": "m", "HSA_AMD": "y", "HSA_AMD_SVM": "y", "DEVICE_PRIVATE": "y"}
NOUVEAU = {"DRM_NOUVEAU": "m", "STAGING": "y", "DRM_NOUVEAU_SVM": "y", "DEVICE_PRIVATE": "y"}


def gfx90a(config=AMDGPU, **options):
    machine = machines.working_amdgpu(**options)
    machines.configure(machine, **config)
    return machine


def gfx1030(config=AMDGPU):
    machine = machines.working_amdgpu(target=100300, device=0x73BF, can_xnack=False, gpu={"device": 0x73BF, "revision": 0xC0, "family": 143})
    machines.configure(machine, **config)
    return machine


def pascal(config=NOUVEAU, **options):
    machine = machines.nouveau(**options)
    machines.configure(machine, **config)
    return machine


def check(machine, name, **as_whom):
    """Returns the exit code and what is missing. A name is one of ci/machines."""
    path = name if os.path.sep in str(name) else ROOT / f"ci/machines/{name}.toml"
    done = device.run(machine.testbed, [str(ROOT / "ci/nightly"), "--check", "--machine", str(path)], **as_whom)
    lines = done.stderr.splitlines()
    if done.returncode:
        assert lines[0].startswith("ci/nightly: this machine is not what ") and done.stdout == "", done
    return done.returncode, [line.strip() for line in lines[1:]]


@pytest.mark.parametrize("make, name", [(gfx90a, "amdgpu-gfx90a"), (gfx1030, "amdgpu-gfx10"), (pascal, "nouveau-pascal"),
                                        (Machine, "no-gpu")])
def test_the_right_machine(make, name):
    assert check(make(), name) == (0, [])


@pytest.mark.parametrize("make, name, config", [(gfx90a, "amdgpu-gfx90a", AMDGPU), (gfx1030, "amdgpu-gfx10", AMDGPU),
                                                (pascal, "nouveau-pascal", NOUVEAU)])
def test_each_option_of_the_kernel(make, name, config):
    for option in config:
        code, missing = check(make(config={key: value for key, value in config.items() if key != option}), name)
        wanted = f"CONFIG_{option}" + ("" if option.startswith("DRM_") and option != "DRM_NOUVEAU_SVM" else "=y")
        assert code == 3 and missing[:1] == [f"the kernel is built without {wanted}"], missing
        assert missing[1].startswith(f"would help: a kernel with CONFIG_{option}=")


def test_another_gpu():
    assert check(gfx1030(), "amdgpu-gfx90a") == (3, [f"no GPU of amdgpu with gfx90a; there is {BUS} amdgpu AMD Radeon RX 6900 XT, gfx1030"])
    code, missing = check(pascal(chipset=0x164), "nouveau-pascal")
    assert code == 3 and missing == ["no GPU of nouveau with Pascal; there is 0000:01:00.0 nouveau NV164 (Turing)"]


def test_another_driver():
    machine = Machine()
    machine.add_pci(BUS, (0x1002, 0x7408, 0), "vfio-pci", ())
    machines.configure(machine, **AMDGPU)
    assert check(machine, "amdgpu-gfx90a") == (3, [f"no GPU of amdgpu; there is {BUS} vfio-pci", "would help: the driver amdgpu"])


def test_no_svm():
    code, missing = check(gfx90a(can_xnack=False), "amdgpu-gfx90a")
    assert code == 3 and missing[0].startswith(f"GPU {BUS} amdgpu AMD Instinct MI250X, gfx90a has no SVM that is recoverable: XNACK is")
    code, missing = check(pascal(svm=False), "nouveau-pascal")
    assert code == 3 and missing[0].startswith("GPU 0000:01:00.0 nouveau NV134 (Pascal) has no SVM that is recoverable: the driver")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_somebody_without_the_group():
    machine, nobody = gfx90a(), pwd.getpwnam("nobody")
    machines.restrict(machine, NODE, 0o660, 0o1)
    code, missing = check(machine, "amdgpu-gfx90a", user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
    assert code == 3
    assert missing[:2] == ["nobody is not in the group render", "would help: usermod -aG render nobody, and a new login"]
    assert f"no permission on {NODE}" in missing[2]


OWN = """about = "a machine of one's own"
packages = ["base-files", "faultline-no-such-package"]
[kernel]
parameters = { "amdgpu.noretry" = "0", "amdgpu.mes" = "1" }
command_line = ["iommu=pt"]
without = ["nvidia"]
[[run]]
targets = ["host"]
scenarios = ["stress/scenarios"]
minutes = 1
quick = 1
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    return path


def test_parameters_words_modules_and_packages(own):
    machine = machines.amdgpu(noretry=-1)
    machine.file("/proc/cmdline").write_text("root=/dev/sda1 iommu=pts\n")
    machine.file("/sys/module/nvidia/version").write_text("570\n")
    code, missing = check(machine, own)
    assert code == 3 and missing == [
        "amdgpu.noretry is -1, not 0",
        "would help: echo 'options amdgpu noretry=0' >/etc/modprobe.d/faultline-amdgpu.conf, update-initramfs -u and a reboot",
        "amdgpu tells no parameter mes", "would help: modprobe amdgpu",
        "the kernel was started without iommu=pt",
        "would help: iommu=pt in GRUB_CMDLINE_LINUX of /etc/default/grub, update-grub and a reboot",
        "the module nvidia is loaded, which takes the GPU",
        "would help: echo 'blacklist nvidia' >/etc/modprobe.d/faultline-no-nvidia.conf, update-initramfs -u and a reboot",
        "the package faultline-no-such-package is not installed", "would help: apt-get install faultline-no-such-package"]


def test_parameters_and_words_that_are_right(own):
    machine = machines.amdgpu(noretry=0)
    machines.set_parameters(machine, "amdgpu", mes=1)
    machine.file("/proc/cmdline").write_text("root=/dev/sda1 iommu=pt\n")
    own.write_text(OWN.replace(', "faultline-no-such-package"', ""))
    assert check(machine, own) == (0, [])
