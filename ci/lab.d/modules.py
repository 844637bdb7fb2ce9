"""Kernel modules for the guest: a driver, and what it needs, out of any folder that holds them.

That is the modules/ of a lab, a kernel's build tree, or what `make modules_install` made. What needs what is read
from the modules themselves, so no depmod is asked.
"""

import os
import re

from common import BAD_INPUT, HERE, LabError
from initramfs import read

RELEASE = re.compile(rb"\0vermagic=(\S+) ")
NEEDS = re.compile(rb"\0depends=([^\0]*)\0")
INIT = os.path.join(HERE, "init")
OPTIONS_FOLDER = "etc/modprobe.d"

# For a device that is emulated: what a real one has and a software one lacks is left out (PSP and SMU by ip_block_mask,
# RAS, power management), faults are retried (noretry=0), and queues are set up without the hardware scheduler. With display code
# in the driver, there is one block more, which is left out too.
OPTIONS = {"amdgpu": "ip_block_mask={mask} noretry=0 sched_policy=2 ras_enable=0 dpm=0 ppfeaturemask=0 gpu_recovery=0"}
MASK, MASK_WITH_DISPLAY, DISPLAY = "0x67", "0xc7", b"\0dc_create\0"

# What the lab's init needs before anything else, where a kernel has it as a module: the agent's port.
EARLY = ["virtio_pci", "virtio_console"]


def name_of(path):
    return os.path.basename(path).removesuffix(".ko").replace("-", "_")


def found(folder):
    """{module: path}"""
    return {name_of(name): os.path.join(at, name)
            for at, _, names in os.walk(folder) for name in names if name.endswith(".ko")}


def fact(pattern, path):
    match = pattern.search(read(path))
    if not match:
        raise LabError(f"{path} is not a kernel module", BAD_INPUT)
    return match[1].decode()


def needed(folder, driver):
    """The paths of the driver, of what is loaded before it, and of all that these need. Each stands before what it needs."""
    known = found(folder)
    paths = []
    for name in [driver, *(each for each in EARLY if each in known)]:
        paths += [path for path in closure(folder, name, known) if path not in paths]
    return paths


def closure(folder, driver, known=None):
    """The paths of the driver and of all that it needs. Each stands before what it needs itself, as in modules.dep.
    `known` is found(folder), which takes seconds in a build tree."""
    if not os.path.isdir(folder):
        raise LabError(f"modules {folder}: no such folder", BAD_INPUT)
    known = known or found(folder)
    if driver not in known:
        raise LabError(f"modules {folder}: there is no {driver}.ko in it or below. Give the build tree of a kernel with "
                       f"{driver} as a module, or the folder of its `make modules_install` (not compressed)", BAD_INPUT)
    after = []

    def visit(name, user):
        if name not in known:
            raise LabError(f"modules {folder}: {user} needs {name}, and there is no {name}.ko", BAD_INPUT)
        for needed in filter(None, fact(NEEDS, known[name]).split(",")):
            visit(needed.replace("-", "_"), name)
        if known[name] not in after:
            after.append(known[name])
    visit(driver, "")
    return after[::-1]


def guest_files(folder, driver, kernel_release):
    """{name: (bytes, mode)}: what modprobe reads in the guest."""
    paths = needed(folder, driver)
    known = found(folder)
    release = fact(RELEASE, paths[0])
    if release != kernel_release:
        raise LabError(f"modules {folder}: they are for Linux {release}, the kernel is {kernel_release}. Give --kernel and "
                       "--modules of one build", BAD_INPUT)
    base = f"lib/modules/{release}"
    files = {f"{base}/{name_of(path)}.ko": (read(path), 0o644) for path in paths}
    lines = [f"{name_of(path)}.ko:" + "".join(f" {name_of(each)}.ko" for each in closure(folder, name_of(path), known)[1:])
             for path in paths]
    files[f"{base}/modules.dep"] = ("\n".join(lines).encode() + b"\n", 0o644)
    if driver in OPTIONS:
        options = OPTIONS[driver].format(mask=MASK_WITH_DISPLAY if DISPLAY in read(paths[0]) else MASK)
        files[f"{OPTIONS_FOLDER}/{driver}.conf"] = (f"options {driver} {options}\n".encode(), 0o644)
    if early := [name for name in EARLY if name in known]:
        files["init"] = (first_init(folder, base, early), 0o755)
        files["lab-init"] = (read(INIT), 0o755)
    return files


def first_init(folder, base, early):
    """An init that loads modules, and then is the lab's."""
    order = []
    for name in early:
        order += [path for path in reversed(closure(folder, name)) if path not in order]
    return "\n".join([
        "#!/bin/sh", "export PATH=/bin", *(f"insmod /{base}/{name_of(path)}.ko" for path in order),
        "mount -t sysfs sysfs /sys",
        "for i in 1 2 3 4 5 6 7 8 9 10; do ls /sys/class/virtio-ports/* >/dev/null 2>&1 && break; sleep 0.2; done",
        "umount /sys", 'exec /lab-init "$@"', ""]).encode()


def loader(driver, program):
    """A script that runs the program once the driver is loaded. Where it cannot be, or drives no device, the console
    says so and what to look at, and a program that looks for a GPU tells that there is none.

    Two seconds after its start the driver tests its rings, and gives each a second or so. If a device that is another
    process got no CPU meanwhile, the driver refuses all work from then on: that machine is not fit, and has to end."""
    return f"""#!/bin/sh
say() {{ echo "<3>lab: {driver} $*" >/dev/kmsg; }}
modprobe {driver} || say "does not load: is it built for this kernel, with all that it needs?"
if [ -d /sys/module/{driver} ] && ! ls -d /sys/bus/pci/drivers/{driver}/0000:* >/dev/null 2>&1; then
  say "drives no device. Look at its words above, its options (/etc/modprobe.d/{driver}.conf and the kernel's command line),"
  say "and at what it asked of the device last: the end of the log of a GPU in software tells"
fi
for node in /sys/bus/pci/drivers/{driver}/0000:*/drm/renderD*; do
  [ -e "$node" ] && : </dev/dri/${{node##*/}} # an open waits for the tests
done
if dmesg | grep -q "ib ring test failed"; then
  say "got no answer in its ring tests: the device is broken, or so is the driver, or this machine is too busy for both"
  exit 1
fi
exec {program} "$@"
""".encode()
