"""A KFD that moves nothing, and tells of the migrations that it is asked for (kfd_smi_events.c; the lines are those of Linux
6.1)."""

import socket
import struct
import time

from kfd import PREFETCH, Kfd

MIGRATE_START, MIGRATE_END = 5, 6
BY_PREFETCH = 0


class KfdWithEvents(Kfd):
    """`root`: the testbed's root."""

    def __init__(self, root, **options):
        super().__init__(**options)
        self.listener = socket.socket(socket.AF_UNIX)
        (root / "smi").unlink(missing_ok=True)
        self.listener.bind(str(root / "smi"))
        self.listener.listen(64)
        (root / "smi").chmod(0o777)
        self.listener.setblocking(False)
        self.readers = []  # (pid, socket)

    def new_reader(self, gpu):
        return 0xFFFFFFFF  # kernel_half.cpp: the client connects

    def set_attributes(self, request, pages, attributes):
        super().set_attributes(request, pages, attributes)
        process = self.processes[request.client]
        for place in [value for kind, value in attributes if kind == PREFETCH]:
            where = f"@{pages[0]:x}({len(pages):x}) {0 if place else self.gpus[0]:x}->{place:x}"
            self.tell(process, MIGRATE_START, f"{where} {place:x}:0 {BY_PREFETCH}")
            self.tell(process, MIGRATE_END, f"{where} {BY_PREFETCH}")

    def tell(self, process, number, text):
        while True:
            try:
                reader, _ = self.listener.accept()
            except BlockingIOError:
                break
            pid, = struct.unpack("<i", reader.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[:4])
            reader.setblocking(False)
            self.readers.append((pid, reader))
        line = f"{number:x} {time.clock_gettime_ns(time.CLOCK_BOOTTIME)} -{process} {text}\n".encode()
        for pid, reader in list(self.readers):
            try:
                if pid == process:
                    reader.send(line)
            except BlockingIOError:
                pass  # no space left: dropped
            except OSError:
                self.readers.remove((pid, reader))
