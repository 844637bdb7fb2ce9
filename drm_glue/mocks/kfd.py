"""/dev/kfd as the kernel answers it (drivers/gpu/drm/amd/amdkfd/kfd_chardev.c, kfd_svm.c), without a GPU behind it."""

import collections
import errno
import struct

from device import Device, Refused

PAGE = 4096
UNDEFINED = 0xFFFFFFFF
PREFERRED, PREFETCH, ACCESS, IN_PLACE, NO_ACCESS, SET_FLAGS, CLR_FLAGS, GRANULARITY = range(8)
HOST_ACCESS, COHERENT = 1, 2


class Range:
    """A page's attributes: the defaults of svm_range_set_default_attributes(), and what was set since."""

    def __init__(self):
        self.preferred = self.prefetch = UNDEFINED
        self.flags, self.granularity = HOST_ACCESS | COHERENT, 9
        self.access, self.in_place = set(), set()


class Process:
    """struct kfd_process: one per mm."""

    def __init__(self):
        self.xnack, self.acquired, self.pages = 0, {}, {}


class Kfd(Device):
    def __init__(self, version=(1, 11), gpus=(0x1F2E,), can_xnack=True, queues=0, events=None):
        super().__init__()
        self.version, self.gpus, self.can_xnack, self.queues = version, list(gpus), can_xnack, queues
        self.events = events      # a descriptor in the client; it reads what was written here
        self.kfd_processes = collections.defaultdict(Process)  # by pid

    def process(self, request):
        return self.kfd_processes[self.processes[request.client]]

    # AMDKFD_IOC_GET_VERSION
    def handle_K01(self, request):
        self.fits(request, 8)
        self.note("version")
        request.answer(struct.pack("<II", *self.version))

    # AMDKFD_IOC_GET_PROCESS_APERTURES_NEW
    def handle_K14(self, request):
        self.fits(request, 16)
        pointer, room, pad = struct.unpack("<QII", request.bytes)
        self.note("apertures", room)
        if room == 0:
            return request.answer(struct.pack("<I", len(self.gpus)), 8)
        count = min(room, len(self.gpus))
        apertures = b"".join(struct.pack("<QQQQQQII", 1 << 60, (1 << 60) + 0xFFFFFFFF, 2 << 60, (2 << 60) + 0xFFFFFFFF,
                                         1 << 16, (1 << 47) - 1, gpu, 0) for gpu in self.gpus[:count])
        request.memory(0, len(apertures)).update(0, apertures)
        request.answer(struct.pack("<I", count), 8)

    # AMDKFD_IOC_ACQUIRE_VM
    def handle_K15(self, request):
        self.fits(request, 8)
        node, gpu = struct.unpack("<II", request.bytes)
        self.note("acquire_vm", gpu)
        if gpu not in self.gpus:
            raise Refused(errno.EINVAL)
        if self.process(request).acquired.setdefault(gpu, node) != node:
            raise Refused(errno.EBUSY)

    # AMDKFD_IOC_SET_MEMORY_POLICY, AMDKFD_IOC_ALLOC_MEMORY_OF_GPU, AMDKFD_IOC_FREE_MEMORY_OF_GPU: libhsakmt makes
    # these requests when it opens the device.
    def handle_K04(self, request):
        self.fits(request, 32)

    def handle_K16(self, request):
        self.fits(request, 40)

    def handle_K17(self, request):
        self.fits(request, 8)

    # AMDKFD_IOC_SMI_EVENTS
    def handle_K1f(self, request):
        self.fits(request, 8)
        gpu, _ = struct.unpack("<II", request.bytes)
        self.note("smi_events", gpu)
        if gpu not in self.gpus:
            raise Refused(errno.EINVAL)
        request.answer(struct.pack("<I", self.new_reader(gpu)), 4)

    def new_reader(self, _):
        return self.events

    # AMDKFD_IOC_SET_XNACK_MODE
    def handle_K21(self, request):
        self.fits(request, 4)
        wanted, = struct.unpack("<i", request.bytes)
        self.note("xnack", wanted)
        process = self.process(request)
        if wanted < 0:
            return request.answer(struct.pack("<i", process.xnack))
        if self.queues:
            raise Refused(errno.EBUSY)
        if wanted != process.xnack and wanted and not self.can_xnack:
            raise Refused(errno.EPERM)
        process.xnack = wanted

    # AMDKFD_IOC_SVM
    def handle_K20(self, request):
        start, size, op, count = struct.unpack_from("<QQII", request.bytes)
        if request.size < 24 + 8 * count:
            raise Refused(errno.EINVAL)
        attributes = [struct.unpack_from("<II", request.bytes, 24 + 8 * i) for i in range(count)]
        self.note("svm", ["set", "get"][op] if op < 2 else op, start, size, tuple(attributes))
        if start % PAGE or size % PAGE or not start or not size or op > 1:
            raise Refused(errno.EINVAL)
        pages = range(start // PAGE, (start + size) // PAGE)
        if op == 0:
            return self.set_attributes(request, pages, attributes)
        for i, attribute in enumerate(self.get_attributes(self.process(request), pages, attributes)):
            request.answer(struct.pack("<II", *attribute), 24 + 8 * i)

    def set_attributes(self, request, pages, attributes):
        for kind, value in attributes:
            location = kind in (PREFERRED, PREFETCH) and value != 0 and not (kind == PREFERRED and value == UNDEFINED)
            if kind > GRANULARITY or ((location or kind in (ACCESS, IN_PLACE, NO_ACCESS)) and value not in self.gpus):
                raise Refused(errno.EINVAL)
        for page in pages:
            self.apply(self.process(request).pages.setdefault(page, Range()), attributes)

    @staticmethod
    def apply(page, attributes):
        for kind, value in attributes:
            if kind == PREFERRED:
                page.preferred = value
            elif kind == PREFETCH:
                page.prefetch = value
            elif kind in (ACCESS, IN_PLACE, NO_ACCESS):
                page.access.discard(value)
                page.in_place.discard(value)
                if kind != NO_ACCESS:
                    (page.access if kind == ACCESS else page.in_place).add(value)
            elif kind == SET_FLAGS:
                page.flags |= value
            elif kind == CLR_FLAGS:
                page.flags &= ~value
            else:
                page.granularity = min(value, 0x3F)

    def get_attributes(self, process, pages, attributes):
        known = [process.pages[page] for page in pages if page in process.pages]
        common = Range()
        if not known and process.xnack:
            common.access = set(self.gpus)
        if known:
            same = lambda values: values[0] if len(set(values)) == 1 else UNDEFINED  # noqa: E731
            common.preferred = same([each.preferred for each in known])
            common.prefetch = same([each.prefetch for each in known])
            common.granularity = min(each.granularity for each in known)
            common.access = set.intersection(*(each.access for each in known))
            common.in_place = set.intersection(*(each.in_place for each in known))
        all_flags = [each.flags for each in known or [common]]
        both, either = all_flags[0], 0
        for flags in all_flags:
            both, either = both & flags, either | flags
        for kind, value in attributes:
            if kind in (IN_PLACE, NO_ACCESS) or kind > GRANULARITY:
                raise Refused(errno.EINVAL)
            if kind == ACCESS:
                if value not in self.gpus:
                    raise Refused(errno.EINVAL)
                yield (ACCESS if value in common.access else IN_PLACE if value in common.in_place else NO_ACCESS), value
            else:
                yield kind, {PREFERRED: common.preferred, PREFETCH: common.prefetch, SET_FLAGS: both,
                             CLR_FLAGS: ~either & 0xFFFFFFFF, GRANULARITY: common.granularity}[kind]

    @staticmethod
    def fits(request, size):
        """Insists on the right size, which all clients here use. The kernel takes any size and zeroes or drops the rest."""
        if request.size != size:
            raise Refused(errno.EINVAL)
