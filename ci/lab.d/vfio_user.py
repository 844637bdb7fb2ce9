"""A device of the guest that is another process: QEMU reaches it by vfio-user, on a socket.

QEMU can do so from 10.1 on, which is newer than what Debian 12 and 13 have, so the lab makes one (root.py). It runs
where it was extracted, by its own ld.so and with its own libraries, without chroot and without being root.
"""

import errno
import json
import os
import shutil
import socket
import subprocess

import root as lab_root
from common import BAD_INPUT, LabError
from vm import Hardware

DEVICE = "vfio-user-pci"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
NEWER = "Leave --qemu-program out: the lab makes a QEMU that has it (ci/lab qemu)"


def program_of(folder):
    """The words that start the QEMU of an extracted root."""
    libraries = os.path.join(folder, LIBRARIES)
    return [os.path.join(libraries, "ld-linux-x86-64.so.2"), "--library-path", libraries,
            os.path.join(folder, "usr/bin/qemu-system-x86_64")]


def program(own):
    """The lab's QEMU, made now if it has to be, or one that somebody names."""
    if not own:
        return program_of(lab_root.build(lab_root.QEMU))
    path = shutil.which(own)
    if not path:
        raise LabError(f"--qemu-program {own}: there is no such program. {NEWER}", BAD_INPUT)
    check_program([path])
    return [path]


def check_program(words):
    asked = subprocess.run([*words, "-device", DEVICE + ",help"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    if asked.returncode or b"socket=" not in asked.stdout:
        raise LabError(f"{words[-1]} has no {DEVICE}, which QEMU has from 10.1 on. {NEWER}", BAD_INPUT)


def check_socket(path):
    """Whether a process listens there. It does not notice: a datagram socket gets no connection to a stream socket,
    and is told whether there is one. A server often serves one connection only."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(path)
        except OSError as e:
            if e.errno == errno.EPROTOTYPE:
                return
            why = "nobody listens there" if e.errno == errno.ECONNREFUSED else e.strerror or str(e)
        else:
            why = "it is a socket for datagrams"
    raise LabError(f"--vfio-user {path}: {why}. Start the device first: a vfio-user server on that socket", BAD_INPUT)


def hardware(own, path, memory):
    """For vm.run(). The server reads and writes the guest's memory, so it is a file that both map. On q35 the device
    sits on PCI Express, as a driver of today expects."""
    device = {"driver": DEVICE, "socket": {"type": "unix", "path": os.path.abspath(path)}}
    return Hardware(program(own), [
        "-object", f"memory-backend-memfd,id=ram,size={memory}M,share=on", "-machine", "q35,memory-backend=ram",
        "-device", json.dumps(device)])
