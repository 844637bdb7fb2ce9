"""An amdgpu render node: what libdrm_amdgpu asks of one (drivers/gpu/drm/amd/amdgpu/amdgpu_kms.c, amdgpu_ctx.c)."""

import errno
import struct

from device import Refused
from drm import Drm

ACCEL_WORKING, FW_VERSION, VRAM_USAGE, VRAM_GTT = 0, 0x0E, 0x10, 0x14
READ_MMR_REG, DEV_INFO, VRAM_LOST_COUNTER = 0x15, 0x16, 0x1F
GMC, RLC, MEC, SMC, SDMA, SOS = 0x03, 0x07, 0x08, 0x0A, 0x0B, 0x0C
ALLOC, FREE, STATE2 = 1, 2, 4
RESET_IN_PROGRESS = 1 << 5


class Amdgpu(Drm):
    def __init__(self, device=0x7408, revision=0, family=141, vram=64 << 30, vram_lost=0, working=True, flags=0):
        super().__init__("amdgpu", (3, 49, 0), "20150101", "AMD GPU")
        self.device, self.revision, self.family, self.vram = device, revision, family, vram
        self.vram_lost, self.working, self.flags = vram_lost, working, flags
        self.firmware = {MEC: 0x44, RLC: 0x11, SDMA: 0x8, SOS: 0x270034}
        self.contexts, self.lost = set(), set()  # lost: contexts that a reset killed; VRAM is lost too

    # DRM_IOCTL_AMDGPU_INFO
    def handle_d45(self, request):
        if request.size != 32:
            raise Refused(errno.EINVAL)
        pointer, room, query = struct.unpack_from("<QII", request.bytes)
        self.note("info", query)
        if not pointer or not room:
            raise Refused(errno.EINVAL)
        data = self.info(query, request.bytes[16:])[:room]
        request.memory(0, len(data)).update(0, data)

    def info(self, query, more):
        if query == ACCEL_WORKING:
            return struct.pack("<I", self.working)
        if query == DEV_INFO:
            return self.device_info()
        if query == READ_MMR_REG:
            offset, count, instance, flags = struct.unpack("<4I", more)
            if count > 128:
                raise Refused(errno.EINVAL)
            return bytes(4 * count)
        if query == VRAM_GTT:
            return struct.pack("<3Q", self.vram, self.vram // 4, 8 << 30)
        if query == VRAM_USAGE:
            return struct.pack("<Q", 1 << 20)
        if query == FW_VERSION:
            kind, instance, index, _ = struct.unpack("<4I", more)
            if instance or index or kind not in self.firmware | {GMC: 0, SMC: 0}:
                raise Refused(errno.EINVAL)
            return struct.pack("<II", self.firmware.get(kind, 0), 1)
        if query == VRAM_LOST_COUNTER:
            return struct.pack("<I", self.vram_lost)
        raise Refused(errno.EINVAL)

    def device_info(self):
        """struct drm_amdgpu_info_device, with only the members that a client without jobs looks at."""
        info = bytearray(368)
        struct.pack_into("<7I", info, 0, self.device, 1, 60, self.revision, self.family, 4, 1)
        struct.pack_into("<QQII", info, 144, 1 << 21, 1 << 47, 4096, 2 << 20)       # addresses, alignment, fragments
        struct.pack_into("<QQ", info, 336, 0xFFFF800000000000, 0xFFFFFFFFFFE00000)  # high addresses
        return bytes(info)

    # DRM_IOCTL_AMDGPU_CTX
    def handle_d42(self, request):
        if request.size != 16:
            raise Refused(errno.EINVAL)
        op, flags, context, priority = struct.unpack("<IIIi", request.bytes)
        self.note({ALLOC: "ctx alloc", FREE: "ctx free", STATE2: "ctx state"}.get(op, "ctx"), op)
        if op == ALLOC:
            context = max(self.contexts, default=0) + 1
            self.contexts.add(context)
            return request.answer(struct.pack("<II", context, 0))
        if op not in (FREE, STATE2) or context not in self.contexts:
            raise Refused(errno.EINVAL)
        if op == FREE:
            self.contexts.remove(context)
            self.lost.discard(context)
        else:
            request.answer(struct.pack("<QII", self.flags | (3 if context in self.lost else 0), 0, 0))
