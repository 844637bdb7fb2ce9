"""Finds out whether KVM really runs code here.

That /dev/kvm opens and even creates a VM proves nothing: on some nested and emulated hosts
the VM never executes an instruction. So this runs a boot sector that writes one byte to
QEMU's debug-exit port, and looks at QEMU's exit status.
"""

import os
import shutil
import subprocess
import tempfile

from common import LabError, cache_root

QEMU = "qemu-system-x86_64"
LIMIT_S = 3
EXIT_BYTE = 0x2A
# mov $EXIT_BYTE,%al; out %al,$0xf4; 1: hlt; jmp 1b
BOOT_SECTOR = bytes([0xB0, EXIT_BYTE, 0xE6, 0xF4, 0xF4, 0xEB, 0xFD]).ljust(510, b"\0") + b"\x55\xaa"

KVM = ["-accel", "kvm", "-cpu", "host"]
TCG = ["-accel", "tcg,thread=multi", "-cpu", "max"]


def qemu():
    path = shutil.which(QEMU)
    if not path:
        raise LabError(f"{QEMU} is not installed: apt-get install qemu-system-x86")
    return path


def flags(wanted):
    """QEMU's options for `wanted`: "kvm", "tcg", or "auto", which means KVM if it works."""
    if wanted == "tcg" or (wanted == "auto" and not kvm_works()):
        return TCG
    return KVM


def kvm_works():
    """Whether KVM runs code. Tried once per boot of this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    with open("/proc/sys/kernel/random/boot_id") as f:
        memo = os.path.join(cache_root(), "kvm-" + f.read().strip())
    try:
        with open(memo) as f:
            return f.read() == "yes"
    except OSError:
        pass
    works = runs_boot_sector(KVM)
    os.makedirs(cache_root(), exist_ok=True)
    for name in os.listdir(cache_root()):
        if name.startswith("kvm-"):
            os.unlink(os.path.join(cache_root(), name))
    with open(memo, "w") as f:
        f.write("yes" if works else "no")
    return works


def runs_boot_sector(accel):
    with tempfile.NamedTemporaryFile(prefix="faultline-probe-") as disk:
        disk.write(BOOT_SECTOR)
        disk.flush()
        command = [qemu(), *accel, "-m", "16", "-nodefaults", "-display", "none",
                   "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
                   "-drive", f"file={disk.name},format=raw,if=floppy", "-boot", "a"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=LIMIT_S,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 2 * EXIT_BYTE + 1
