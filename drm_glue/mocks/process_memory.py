"""A driver's access to a client's pages. process_vm_readv() and process_vm_writev() play hmm_range_fault(): they fault pages
in, break COW and respect protections in the same way."""

import ctypes
import errno

from device import Refused

PAGE = 4096
libc = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def transfer(call, process, address, buffer, size):
    local, remote = Iovec(ctypes.addressof(buffer), size), Iovec(address, size)
    return call(process, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)


def lines(process, name):
    """Lines of a file in /proc/PID; none if the process is gone."""
    try:
        with open(f"/proc/{process}/{name}") as file:
            yield from file
    except (FileNotFoundError, ProcessLookupError):
        pass


def vma(process, address):
    """Protection ("rw-p") and file of the mapping at the address; two empty strings if there is none."""
    for line in lines(process, "maps"):
        bounds, permissions, _, _, _, *file = line.split()
        start, end = (int(each, 16) for each in bounds.split("-"))
        if start <= address < end:
            return permissions, " ".join(file)
    return "", ""


def protection(process, address):
    return vma(process, address)[0]


def look_up(process, address, writes):
    """hmm_range_fault() of one page: raises the error of hmm_vma_walk_test()."""
    permissions = protection(process, address)
    if not permissions or permissions[0] != "r":
        raise Refused(errno.EFAULT)
    if writes and permissions[1] != "w":
        raise Refused(errno.EPERM)


def access(call, process, address, buffer, size, writes):
    for _ in range(10):  # the mapping may change in between
        if transfer(call, process, address, buffer, size) == size:
            return
        error = ctypes.get_errno()
        if error != errno.EFAULT:
            raise Refused(error)
        look_up(process, address, writes)  # if it raises nothing, the mapping has changed since the transfer: try again
    raise Refused(errno.EFAULT)  # mapped, but no page: past the end of a file


def load(process, address, size):
    buffer = ctypes.create_string_buffer(size)
    access(libc.process_vm_readv, process, address, buffer, size, False)
    return buffer.raw


def store(process, address, data):
    access(libc.process_vm_writev, process, address, ctypes.create_string_buffer(data, len(data)), len(data), True)


def populate(process, address):
    """Faults a missing page in, by a read: a write from here could race with one of the process, and one would be lost."""
    try:
        load(process, address, 1)
    except Refused:
        pass
