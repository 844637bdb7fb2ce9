"""An amdgpu that executes jobs: buffer objects, GPU page tables and the SDMA engine (amdgpu_gem.c, amdgpu_vm.c, amdgpu_cs.c;
packets as in sdma_v4_0.c). A job is already done when its submission is answered."""

import errno
import mmap
import struct

import process_memory
from amdgpu import Amdgpu
from device import Refused

PAGE = 4096
CPU, GTT, VRAM = 1, 2, 4
READONLY, ANONONLY, VALIDATE, REGISTER = 1, 2, 4, 8
MAP, UNMAP = 1, 2
READABLE, WRITEABLE, EXECUTABLE = 2, 4, 8
CREATE, DESTROY = 0, 1
DMA = 2
CHUNK_IB, CHUNK_BO_HANDLES = 1, 6
COPY_LINEAR, NOP = 1, 0
FILE_BYTES = 16 << 20


class Buffer:
    def __init__(self, size, domain=GTT, place=None, user=None, flags=0):
        self.size, self.domain, self.place, self.user, self.flags = size, domain, place, user, flags


class Client:
    """One open of the node."""

    def __init__(self):
        self.buffers, self.lists, self.mappings, self.jobs = {}, {}, {}, 0

    def new(self, table, value):
        handle = max(table, default=0) + 1
        table[handle] = value
        return handle


class AmdgpuWithEngine(Amdgpu):
    """`folder`: for the file with the memory that clients map. `fault`: what this GPU does wrong ("stale", "wrong page")."""

    def __init__(self, folder, node, fault="", **options):
        super().__init__(**options)
        folder.mkdir(exist_ok=True)
        path = folder / node
        path.write_bytes(bytes(FILE_BYTES))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), FILE_BYTES)
        self.free = list(range(0, FILE_BYTES, PAGE))
        self.fault, self.stale = fault, {}
        self.clients, self.vm_faults, self.jobs = {}, [], 0
        self.reset_at = self.gone_at = None  # number of the job (of all clients, from 1) at which that happens

    def client(self, request):
        return self.clients.setdefault(request.client, Client())

    def left(self):
        """What clients have not freed by themselves."""
        return {name: count for name in ("buffers", "lists", "mappings")
                if (count := sum(len(getattr(each, name)) for each in self.clients.values()))} | (
                    {"contexts": len(self.contexts)} if self.contexts else {})

    @staticmethod
    def fits(request, size):
        if request.size != size:
            raise Refused(errno.EINVAL)

    # DRM_IOCTL_AMDGPU_GEM_CREATE
    def handle_d40(self, request):
        self.fits(request, 32)
        size, alignment, domains, flags = struct.unpack("<4Q", request.bytes)
        self.note("gem_create", size, alignment, domains, flags)
        if not size or domains not in (CPU, GTT, VRAM) or flags & ~0x3F:
            raise Refused(errno.EINVAL)
        pages = -(-size // PAGE)
        place = next((at for at in self.free if all(at + i * PAGE in self.free for i in range(pages))), None)
        if place is None:
            raise Refused(errno.ENOMEM)
        for i in range(pages):
            self.free.remove(place + i * PAGE)
        self.memory[place:place + pages * PAGE] = bytes(pages * PAGE)
        client = self.client(request)
        handle = client.new(client.buffers, Buffer(pages * PAGE, domains, place, flags=flags))
        request.answer(struct.pack("<II", handle, 0))

    # DRM_IOCTL_AMDGPU_GEM_MMAP
    def handle_d41(self, request):
        self.fits(request, 8)
        handle, _ = struct.unpack("<II", request.bytes)
        self.note("gem_mmap", handle)
        buffer = self.buffer(request, handle)
        if buffer.user is not None or buffer.flags & 2:  # NO_CPU_ACCESS
            raise Refused(errno.EPERM)
        request.answer(struct.pack("<Q", buffer.place))

    # DRM_IOCTL_GEM_CLOSE
    def handle_d09(self, request):
        self.fits(request, 8)
        handle, pad = struct.unpack("<II", request.bytes)
        self.note("gem_close", handle)
        buffer = self.client(request).buffers.pop(handle, None)
        if buffer is None or pad:
            raise Refused(errno.EINVAL)
        if buffer.place is not None:
            self.free[:] = sorted(self.free + list(range(buffer.place, buffer.place + buffer.size, PAGE)))
        mappings = self.client(request).mappings
        for address in [each for each, (of, _) in mappings.items() if of is buffer]:
            del mappings[address]

    def buffer(self, request, handle):
        buffer = self.client(request).buffers.get(handle)
        if buffer is None:
            raise Refused(errno.ENOENT)
        return buffer

    # DRM_IOCTL_AMDGPU_GEM_USERPTR
    def handle_d51(self, request):
        self.fits(request, 24)
        address, size, flags, _ = struct.unpack("<QQII", request.bytes)
        self.note("gem_userptr", size, flags)
        if address % PAGE or size % PAGE or not size or flags & ~0xF:
            raise Refused(errno.EINVAL)
        if not flags & (READONLY | REGISTER):
            raise Refused(errno.EACCES)
        buffer = Buffer(size, user=address, flags=flags)
        if flags & VALIDATE:
            self.look_up(request, buffer)
        client = self.client(request)
        request.answer(struct.pack("<I", client.new(client.buffers, buffer)), 20)

    def look_up(self, request, buffer):
        """amdgpu_ttm_tt_get_user_pages()."""
        process = self.processes[request.client]
        for address in range(buffer.user, buffer.user + buffer.size, PAGE):
            if (process, address) not in self.stale:
                process_memory.look_up(process, address, not buffer.flags & READONLY)

    # DRM_IOCTL_AMDGPU_GEM_VA
    def handle_d48(self, request):
        self.fits(request, 40)
        handle, pad, operation, flags, address, offset, size = struct.unpack("<IIIIQQQ", request.bytes)
        self.note(f"gem_va {'unmap' if operation == UNMAP else 'map'}", operation, flags, size)
        buffer = self.buffer(request, handle)
        mappings = self.client(request).mappings
        if address % PAGE or offset % PAGE or size % PAGE or not size or flags & ~0x3EF or operation not in (MAP, UNMAP):
            raise Refused(errno.EINVAL)
        if operation == MAP:
            if address < 1 << 21 or offset + size > buffer.size or any(
                    address < at + length and at < address + size for at, (_, length) in mappings.items()):
                raise Refused(errno.EINVAL)
            buffer.rights = flags
            mappings[address] = (buffer, size)
        elif mappings.pop(address, (None,))[0] is not buffer:
            raise Refused(errno.ENOENT)

    # DRM_IOCTL_AMDGPU_BO_LIST
    def handle_d43(self, request):
        self.fits(request, 24)
        operation, handle, count, entry_bytes, pointer = struct.unpack("<IIIIQ", request.bytes)
        self.note(f"bo_list {'destroy' if operation == DESTROY else 'create'}", count)
        lists = self.client(request).lists
        if operation == DESTROY:
            lists.pop(handle, None)
            return request.answer(struct.pack("<II", 0, 0))
        if operation != CREATE or entry_bytes != 8:
            raise Refused(errno.EINVAL)
        entries = request.memory(16, 8 * count).retrieve() if count else b""
        wanted = [self.buffer(request, struct.unpack_from("<I", bytes(entries), 8 * i)[0]) for i in range(count)]
        request.answer(struct.pack("<II", self.client(request).new(lists, wanted), 0))

    # DRM_IOCTL_AMDGPU_CS
    def handle_d44(self, request):
        self.fits(request, 24)
        context, bo_list, count, flags, pointer = struct.unpack("<IIIIQ", request.bytes)
        client = self.client(request)
        if context not in self.contexts or not count or flags:
            raise Refused(errno.EINVAL)
        if bo_list not in client.lists and bo_list:
            raise Refused(errno.ENOENT)
        buffers, commands = list(client.lists.get(bo_list, [])), []
        chunks = request.memory(16, 8 * count)
        for i in range(count):
            header = chunks.resolve(8 * i, 16)
            kind, words, _ = struct.unpack("<IIQ", bytes(header.retrieve()))
            data = header.resolve(8, 4 * words)
            if data is None:
                raise Refused(errno.EFAULT)
            data = bytes(data.retrieve())
            if kind == CHUNK_IB and words >= 8:
                commands.append(struct.unpack_from("<IIQIIII", data))
            elif kind == CHUNK_BO_HANDLES and words >= 6 and not bo_list:
                raise Refused(errno.EOPNOTSUPP)  # no client here uses this chunk
            else:
                raise Refused(errno.EINVAL)
        self.note("cs", flags, [(engine, instance, ring, size) for _, _, _, size, engine, instance, ring in commands])
        self.jobs += 1
        if self.jobs == self.reset_at:
            self.lost = set(self.contexts)
        if self.jobs == self.gone_at:
            self.gone = True
            raise Refused(errno.ENODEV)
        if context in self.lost:
            raise Refused(errno.ECANCELED)
        for buffer in buffers:
            if buffer.user is not None:
                self.look_up(request, buffer)
        for _, _, address, size, engine, instance, ring in commands:
            if engine != DMA or instance or ring or size % 4 or address % 256:
                raise Refused(errno.EINVAL)
            self.execute(request, self.read(request, buffers, address, size), buffers)
        client.jobs += 1
        request.answer(struct.pack("<Q", client.jobs))

    # DRM_IOCTL_AMDGPU_WAIT_CS
    def handle_d49(self, request):
        self.fits(request, 32)
        job, _, engine, instance, ring, context = struct.unpack("<QQIIII", request.bytes)
        self.note("wait_cs")
        if context not in self.contexts or engine != DMA or job > self.client(request).jobs:
            raise Refused(errno.EINVAL)
        request.answer(struct.pack("<Q", 0) + bytes(24))

    def execute(self, request, commands, buffers):
        words = struct.unpack(f"<{len(commands) // 4}I", commands)
        at = 0
        while at < len(words):
            if words[at] == NOP:
                at += 1
                continue
            if words[at] != COPY_LINEAR or at + 7 > len(words):
                self.vm_faults.append(f"a packet that no engine knows: {words[at]:#x}")
                return
            _, size, _, from_low, from_high, to_low, to_high = words[at:at + 7]
            data = self.read(request, buffers, from_high << 32 | from_low, size + (self.family >= 141))
            self.write(request, buffers, to_high << 32 | to_low, data)
            at += 7

    def translate(self, request, buffers, address, size, right):
        """A walk of the GPU's page tables: the BO and the offset in it."""
        for start, (buffer, length) in self.client(request).mappings.items():
            if start <= address and address + size <= start + length and buffer.rights & right and (
                    buffer in buffers):
                return buffer, address - start
        self.vm_faults.append(f"{address:#x}, {size} bytes")
        raise Refused(errno.EPROTO)

    def read(self, request, buffers, address, size):
        buffer, offset = self.translate(request, buffers, address, size, READABLE)
        if buffer.user is None:
            return self.memory[buffer.place + offset:buffer.place + offset + size]
        process, at = self.processes[request.client], offset + buffer.user
        if self.fault != "stale":
            return process_memory.load(process, self.answered(at), size)
        if (process, at) not in self.stale:
            self.stale[process, at] = process_memory.load(process, at, size)
        return self.stale[process, at]

    def write(self, request, buffers, address, data):
        buffer, offset = self.translate(request, buffers, address, len(data), WRITEABLE)
        if buffer.user is None:
            self.memory[buffer.place + offset:buffer.place + offset + len(data)] = data
            return
        process, at = self.processes[request.client], offset + buffer.user
        if self.fault == "stale" and (process, at) in self.stale:
            self.stale[process, at] = data
        else:
            process_memory.store(process, self.answered(at), data)

    def answered(self, address):
        return address ^ PAGE if self.fault == "wrong page" else address
