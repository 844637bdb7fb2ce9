"""Pages of a client as a driver reaches them: hmm_range_fault() by way of process_vm_readv(), which faults pages in, breaks
COW and respects protections as that does."""

import ctypes
import errno
import os

from device import Refused

PAGE = 4096
libc = ctypes.CDLL(None, use_errno=True)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def transfer(call, process, address, buffer, size):
    local, remote = Iovec(ctypes.addressof(buffer), size), Iovec(address, size)
    return call(process, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)


def vma(process, address):
    """Of the mapping there: its protection, as "rw-p", and its file; two empty words: there is none, or no process."""
    try:
        with open(f"/proc/{process}/maps") as maps:
            for line in maps:
                bounds, permissions, _, _, _, *file = line.split()
                start, end = (int(each, 16) for each in bounds.split("-"))
                if start <= address < end:
                    return permissions, " ".join(file)
    except (FileNotFoundError, ProcessLookupError):
        pass
    return "", ""


def protection(process, address):
    return vma(process, address)[0]


def refuse(process, address, writes):
    """Raises what hmm_vma_walk_test() gives; returns where the mapping is another one by now."""
    permissions = protection(process, address)
    if not permissions or permissions[0] != "r":
        raise Refused(errno.EFAULT)
    if writes and permissions[1] != "w":
        raise Refused(errno.EPERM)


def access(call, process, address, buffer, size, writes):
    for _ in range(10):  # a mapping may come and go meanwhile
        if transfer(call, process, address, buffer, size) == size:
            return
        error = ctypes.get_errno()
        if error != errno.EFAULT:
            raise Refused(error)
        refuse(process, address, writes)
    raise Refused(errno.EFAULT)  # mapped, and no page: past the end of a file


def load(process, address, size):
    buffer = ctypes.create_string_buffer(size)
    access(libc.process_vm_readv, process, address, buffer, size, False)
    return buffer.raw


def store(process, address, data):
    access(libc.process_vm_writev, process, address, ctypes.create_string_buffer(data, len(data)), len(data), True)


def look_up(process, address, writes):
    """hmm_range_fault() of one page."""
    refuse(process, address, writes)


def is_present(process, address):
    with open(f"/proc/{process}/pagemap", "rb", buffering=0) as pagemap:
        entry = os.pread(pagemap.fileno(), 8, address // PAGE * 8)
    return len(entry) == 8 and entry[7] & 0x80 != 0


def populate(process, address):
    """Where nothing is there yet: a page that is only read, since a write from here could be lost, or lose another."""
    try:
        load(process, address, 1)
    except Refused:
        pass
