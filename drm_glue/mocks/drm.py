"""Render nodes as the DRM core answers them (drivers/gpu/drm/drm_ioctl.c): what every driver has."""

import errno
import struct

import process_memory
from device import Device, Refused


class Drm(Device):
    """Subclasses add handle_dNN of their driver: 0x40 and on are DRM_COMMAND_BASE."""

    def __init__(self, driver, version, date, description):
        super().__init__()
        self.driver, self.driver_version, self.date, self.description = driver, version, date, description

    # DRM_IOCTL_VERSION
    def handle_d00(self, request):
        self.note("drm version")
        major, minor, patch, _, name_room, name_at, date_room, date_at, text_room, text_at = struct.unpack(
            "<iiiiQQQQQQ", request.bytes)
        lengths = []
        for text, room, pointer, offset in ((self.driver, name_room, name_at, 24), (self.date, date_room, date_at, 40),
                                            (self.description, text_room, text_at, 56)):
            data = text.encode()
            if pointer and room:
                part = data[:room]
                request.memory(offset, len(part)).update(0, part)
            lengths.append(len(data))
        request.answer(struct.pack("<iii", *self.driver_version))
        for length, offset in zip(lengths, (16, 32, 48)):
            request.answer(struct.pack("<Q", length), offset)


class Nouveau(Drm):
    """DRM_NOUVEAU_GETPARAM, _SVM_INIT and _BIND (drivers/gpu/drm/nouveau/nouveau_abi16.c, nouveau_svm.c)."""

    def __init__(self, svm=True, chipset=0x134, vram=8 << 30):
        super().__init__("nouveau", (1, 3, 1), "20120801", "nVidia Riva/TNT/GeForce/Quadro/Tesla/Tegra K1+")
        self.svm, self.vram = svm, set()
        self.unmanaged = {}  # unmanaged address range by client
        self.parameters = {8: vram, 11: chipset}

    def handle_d40(self, request):
        if request.size != 16:
            raise Refused(errno.EINVAL)
        parameter, _ = struct.unpack("<QQ", request.bytes)
        self.note("getparam", parameter)
        if parameter not in self.parameters:
            raise Refused(errno.EINVAL)
        request.answer(struct.pack("<Q", self.parameters[parameter]), 8)

    def handle_d48(self, request):
        if request.size != 16:
            raise Refused(errno.EINVAL)
        address, size = struct.unpack("<QQ", request.bytes)
        self.note("svm_init", address, size)
        if not self.svm:
            raise Refused(errno.ENOSYS)
        if request.client in self.unmanaged:
            raise Refused(errno.EBUSY)
        self.unmanaged[request.client] = range(address, address + size)

    def handle_d49(self, request):
        if request.size != 64:
            raise Refused(errno.EINVAL)
        header, start, end, pages, stride, result, zero, nought = struct.unpack("<8Q", request.bytes)
        command, priority, target = header & 0xFF, header >> 8 & 0xFF, header >> 16 & 0xFFFFFFFF
        self.note("svm_bind", command, priority, target, start, end, pages, stride)
        start, end = start & ~4095, (end + 4095) & ~4095
        if (zero or nought or header >> 48 or start >= end or command != 0 or target != 1 << 31 or stride
                or request.client not in self.unmanaged):
            raise Refused(errno.EINVAL)
        process = self.processes[request.client]
        for address in range(start, end, 4096):
            permissions, file = process_memory.vma(process, address)
            if permissions.endswith("p") and not file:  # nouveau_dmem_migrate_copy_one(): also missing pages
                process_memory.populate(process, address)
                self.vram.add(address)
