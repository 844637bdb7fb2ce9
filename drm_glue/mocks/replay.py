"""A mocked machine made from a trace. It answers each client's requests as recorded, in order. It reports a request that
differs, and never guesses an answer. A trace does not have what the GPU wrote to memory, so memory stays as it is. The
addresses in KFD's events have changed, so no events come."""

import errno
import grp
import os
import pathlib
import re
import socket

import machines
from device import Device, NeverAnswered, Refused
from machine import Machine

MOST_MAPPED, MOST_BYTES = 1 << 42, 1 << 20
GEM_MMAP = "DRM_IOCTL_AMDGPU_GEM_MMAP"


def program_of(process):
    try:
        words = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return os.path.basename(words[0].decode(errors="replace"))


def masked(data, loose):
    data = bytearray(data)
    for at, size, _ in loose:
        data[at:at + size] = bytes(len(data[at:at + size]))
    return bytes(data)


class Cursor:
    """A client's position in its recorded requests."""

    def __init__(self, client):
        self.client, self.at, self.lost = client, 0, client is None


class Recorded(Device):
    """A node. `tell` takes reports about requests that differ from the trace."""

    def __init__(self, clients, tell):
        super().__init__()
        self.left, self.tell, self.cursors = [each for each in clients if not each.inherited], tell, {}

    def opens(self, client):
        """Takes the next recorded client of the same program."""
        program = program_of(self.processes[client])
        found = next((each for each in self.left if each.program == program), None)
        self.cursors[client] = Cursor(found)
        if found is None:
            self.tell(f"{program} opens the node once more than recorded")
            return errno.EPROTO
        self.left.remove(found)
        if found.answer is None:
            raise NeverAnswered
        return found.answer.error

    def handle(self, request):
        cursor = self.cursors.get(request.client)
        if cursor is None or cursor.lost:
            raise Refused(errno.EPROTO)
        ask = cursor.client.asks[cursor.at] if cursor.at < len(cursor.client.asks) else None
        difference, blocks = self.compare(ask, request) if ask else (self.one_more(cursor, request), {})
        if difference:
            cursor.lost = True
            self.tell(f"request {cursor.at + 1} of the client that {cursor.client.program} opened ({cursor.client.where}): "
                      f"{difference}")
            raise Refused(errno.EPROTO)
        cursor.at += 1
        if ask.answer is None:
            self.tell(f"{ask.where}: {ask.name or hex(ask.number)} was never answered, and is not here", same=True)
            raise NeverAnswered
        for path, data in ask.answer.after.items():
            self.write(blocks.get(path), ask.blocks[path], data)
        if ask.answer.result < 0:
            raise Refused(ask.answer.error)
        return ask.answer.result

    def one_more(self, cursor, request):
        last = cursor.client.asks[-1].where if cursor.client.asks else cursor.client.where
        return f"asks {request.whole_number:#x} {request.bytes.hex()}, and nothing was asked after {last}"

    @staticmethod
    def compare(ask, request):
        """Returns the difference as text, and the request's memory blocks by path."""
        if request.whole_number & 0xFFFFFFFF != ask.number:
            return (f"asks {request.whole_number:#x} {request.bytes.hex()}, recorded {ask.name} {ask.number:#x} "
                    f"{ask.blocks[()].bytes.hex() if ask.blocks else ask.value} ({ask.where})"), {}
        found = request.blocks({path: min(each.wanted, MOST_BYTES) for path, each in ask.blocks.items()
                                if each.filled or each.wanted == len(each.bytes)})
        for path, block in ask.blocks.items():
            if block.filled or path not in found:
                continue  # unreadable, here or when recorded: nothing to compare
            theirs = bytes(found[path].retrieve())
            asked, recorded = masked(theirs, block.loose), masked(block.bytes, block.loose)
            if asked != recorded:
                shorter = min(len(asked), len(recorded))
                first = next((i for i in range(shorter) if asked[i] != recorded[i]), shorter)
                where = "its argument" if not path else f"what it points to at {'.'.join(map(str, path))}"
                return (f"{ask.name or hex(ask.number)}: {where} differs from byte {first} on: asks {theirs.hex()}, "
                        f"recorded {block.bytes.hex()} ({ask.where})"), {}
        return "", found

    @staticmethod
    def write(data, block, after):
        """Keeps the client's own pointers. A descriptor from the recorded kernel becomes -1: kernel_half.cpp connects KFD's."""
        if data is None:
            return
        size = block.wanted if block.filled else len(block.bytes)
        after, keep = bytearray(after[:size]), set()
        for at, length, kind in block.loose:
            if kind == "descriptor" and after[at:at + length] != block.bytes[at:at + length]:
                after[at:at + length] = b"\xff" * len(after[at:at + length])
            else:
                keep.update(range(at, at + length))
        start = None
        for i in range(len(after) + 1):
            if i < len(after) and i not in keep:
                start = i if start is None else start
            elif start is not None:
                data.update(start, bytes(after[start:i]))
                start = None


class ReplayMachine(Machine):
    def __init__(self, trace):
        super().__init__()
        self.trace, self.differences, self.notes = trace, [], list(trace.notes)
        self.testbed.add_from_string(trace.machine["devices"])
        for module, values in trace.machine["parameters"].items():
            for name, value in values.items():
                self.file(f"/sys/module/{module}/parameters/{name}").write_text(value)
        config = trace.machine["kernel_config"]
        if config is None:
            self.notes.append("the kernel's configuration was not known there: it is this machine's")
        else:
            known = {name.removeprefix("CONFIG_"): value for name, value in config.items() if value != "n"}
            machines.configure(self, **known)
        self.there = {"/dev/" + name for name in re.findall(r"^N: (\S+)$", trace.machine["devices"], re.M)}
        for node in sorted(self.there):
            self.boot(node, Recorded([each for each in trace.clients if each.node == node], self.teller(node)))
            self.set_rights(node)
            self.make_memory(node)
        self.notes += [f"{each.where}: {each.node} is not in the trace's description of the machine" for each in trace.clients
                       if each.node not in self.there and (each.answer is None or each.answer.error != errno.ENOENT)]
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.testbed.get_root_dir() + "/smi")
        self.listener.listen(4096)

    def teller(self, node):
        def tell(what, same=False):
            (self.notes if same else self.differences).append(f"{node}: {what}")
        return tell

    def set_rights(self, node):
        """Sets the recorded mode and group. Only root can, and only root is not locked out by them."""
        rights = self.trace.machine["nodes"].get(node)
        if os.geteuid() != 0 or rights is None:
            return
        try:
            group = int(rights["group"]) if rights["group"].isdecimal() else grp.getgrnam(rights["group"]).gr_gid
        except KeyError:
            self.notes.append(f"{node}: no group {rights['group']} here")
            return
        machines.restrict(self, node, int(rights["mode"], 8) & 0o777, group)

    def make_memory(self, node):
        """The file for buffer objects that clients map: large enough for the recorded offsets, and empty."""
        largest = max((int.from_bytes(ask.answer.after.get((), b"")[:8], "little") for client in self.trace.clients
                       if client.node == node for ask in client.asks if ask.name == GEM_MMAP and ask.answer), default=None)
        if largest is None:
            return
        if largest > MOST_MAPPED:
            self.notes.append(f"{node}: a buffer is mapped at {largest:#x}: not here")
            return
        path = self.file(f"/gem/{os.path.basename(node)}")
        with open(path, "wb") as file:
            os.ftruncate(file.fileno(), largest + (1 << 30))
        path.chmod(0o666)

    def finish(self):
        """All differences from the trace, also requests and opens that did not come."""
        for node in sorted(self.there):
            device = self.devices[node]
            for each in device.left:
                self.differences.append(f"{node}: {each.program} did not open it as recorded ({each.where})")
            for cursor in device.cursors.values():
                if not cursor.lost and cursor.at < len(cursor.client.asks):
                    ask = cursor.client.asks[cursor.at]
                    self.differences.append(f"{node}: {cursor.client.program} ended before request {cursor.at + 1} of "
                                            f"{len(cursor.client.asks)}, {ask.name or hex(ask.number)} ({ask.where})")
            bugs = [asked for asked in device.asked if asked[0] == "bug of the mock"]
            self.differences += [f"{node}: {bug}" for bug in bugs]
        return self.differences
