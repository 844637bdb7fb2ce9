"""A driver's access to a client's pages. process_vm_readv() and process_vm_writev() play hmm_range_fault(): they fault pages
in, break COW and respect protections in the same way."""

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


def lines(process, name):
    """Lines of a file in /proc/PID; none if the process is gone."""
    try:
        with open(f"/proc/{process}/{name}") as file:
            yield from file
    except (FileNotFoundError, ProcessLookupError):
        pass


def data(process, name, offset, size):
    """Bytes of a file in /proc/PID; zeroes if the process is gone."""
    try:
        with open(f"/proc/{process}/{name}", "rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset).ljust(size, b"\0")
    except OSError:
        return bytes(size)


def mapping(process, address):
    """The mapping at the address: start, end, protection ("rw-p"), file. None: no mapping, or the process is gone."""
    for line in lines(process, "maps"):
        bounds, permissions, _, _, _, *file = line.split()
        start, end = (int(each, 16) for each in bounds.split("-"))
        if start <= address < end:
            return start, end, permissions, " ".join(file)
    return None


def vma(process, address):
    """Protection and file of the mapping at the address; two empty strings if there is none."""
    return (mapping(process, address) or (0, 0, "", ""))[2:]


def bounds(process, address):
    return (mapping(process, address) or ())[:2]


def protection(process, address):
    return vma(process, address)[0]


def all_parts(process, pages):
    """The mapped parts of the pages, one per mapping, with permissions. Joins mappings that only userfaultfd has split."""
    found = []
    for line in lines(process, "maps"):
        bounds, permissions, _, _, _, *file = line.split()
        start, end = (int(each, 16) // PAGE for each in bounds.split("-"))
        own, kind = range(max(start, pages.start), min(end, pages.stop)), (permissions, file)
        if own and found and found[-1][0].stop == own.start and found[-1][1] == kind:
            own = range(found.pop()[0].start, own.stop)
        if own:
            found.append((own, kind))
    return [(own, permissions) for own, (permissions, _) in found]


def parts(process, pages):
    """all_parts() up to the first hole."""
    found, at = [], pages.start
    for own, permissions in all_parts(process, pages):
        if own.start == at:
            found.append((own, permissions))
            at = own.stop
    return found


def start_time(process):
    """Tells processes apart that have had the same pid."""
    return "".join(lines(process, "stat")).rsplit(")", 1)[-1].split()[19:20]


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


def is_present(process, address, bits=0x80):
    return data(process, "pagemap", address // PAGE * 8, 8)[7] & bits != 0


def content(process, address):
    """A page's content, whatever its protection. Faults nothing in."""
    if not is_present(process, address, 0xC0):  # neither present nor swapped
        return bytes(PAGE)
    return data(process, "mem", address, PAGE)


def fault_in(process, address):
    """hmm_range_fault() for svm_range_validate_and_map(): a write fault if the mapping is writable, which breaks COW. The
    process_vm_writev() has no readable source: it faults the page in, then ends before its first byte."""
    if protection(process, address)[1:2] == "w":
        nowhere = Iovec(None, 1)
        libc.process_vm_writev(process, ctypes.byref(nowhere), 1, ctypes.byref(Iovec(address, 1)), 1, 0)
    else:
        populate(process, address)


def copied_at_fork(process):
    """The private mappings without VM_DONTCOPY and VM_WIPEONFORK, as (first page, end, has anonymous pages). If a mapping has
    anonymous pages, copy_page_range() calls the notifiers for it."""
    mappings = []
    for line in lines(process, "smaps"):
        first, *words = line.split()
        if not first.endswith(":"):
            pages, private, anonymous = [int(each, 16) // PAGE for each in first.split("-")], words[0].endswith("p"), False
            kind = words[0], words[4:]
        elif first == "Anonymous:":
            anonymous = words[0] != "0"
        elif first == "VmFlags:" and private and not {"dc", "wf"} & set(words):
            if mappings and mappings[-1][1] == pages[0] and mappings[-1][3] == kind:
                first, _, others, _ = mappings.pop()  # only userfaultfd has split them
                pages, anonymous = (first, pages[1]), anonymous or others
            mappings.append((*pages, anonymous, kind))
    return [each[:3] for each in mappings]


def populate(process, address):
    """Faults a missing page in, by a read: a write from here could race with one of the process, and one would be lost."""
    try:
        load(process, address, 1)
    except Refused:
        pass
