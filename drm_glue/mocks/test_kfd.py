"""drm_glue's requests to a mocked /dev/kfd: every attribute and flag, what the kernel refuses, and an error at every request
in turn."""

import errno
import os
import socket

import pytest

from machine import KfdMachine
from kfd import Kfd

GPU = 0x1F2E


class Bench:
    machines = {}  # a cache by GPUs: they take a while to make

    def __init__(self, gpus=(GPU,), **options):
        if gpus not in self.machines:
            self.machines[gpus] = KfdMachine(gpus)
        self.machine = self.machines[gpus]
        self.kfd = Kfd(gpus=gpus, **options)
        self.machine.boot("/dev/kfd", self.kfd)
        self.ask = self.machine.ask


def test_who_is_there():
    bench = Bench(gpus=(GPU, 0x2B3C))
    assert bench.ask("open", "version", "apertures", f"acquire-vm {GPU} 7") == [
        "ok", "ok 1.11", "ok 1f2e:10000-7fffffffffff 2b3c:10000-7fffffffffff", "ok"]
    assert bench.kfd.asked == [("version",), ("apertures", 0), ("apertures", 2), ("acquire_vm", GPU)]
    assert [each.acquired for each in bench.kfd.kfd_processes.values()] == [{GPU: 7}]


def test_every_attribute():
    bench = Bench()
    pages = "0x10000 0x2000"
    answers = bench.ask("open", f"svm-set {pages} 0 {GPU} 1 {GPU} 2 {GPU} 5 0x7c 6 3 7 4",
                        f"svm-get {pages} 0 0 1 0 2 {GPU} 5 0 6 0 7 0", f"svm-set 0x10000 0x1000 3 {GPU}",
                        f"svm-get 0x10000 0x1000 2 {GPU}", f"svm-get {pages} 2 {GPU}", f"svm-set {pages} 4 {GPU} 0 0",
                        f"svm-get {pages} 2 {GPU} 0 0")
    assert answers == ["ok", "ok", "ok 0=1f2e 1=1f2e 2=1f2e 5=7c 6=ffffff83 7=4", "ok", "ok 3=1f2e", "ok 4=1f2e", "ok",
                       "ok 4=1f2e 0=0"]
    assert bench.kfd.asked[0] == ("svm", "set", 0x10000, 0x2000, ((0, GPU), (1, GPU), (2, GPU), (5, 0x7C), (6, 3), (7, 4)))


def test_what_was_never_set():
    bench = Bench()
    assert bench.ask("open", f"svm-get 0x10000 0x1000 0 0 1 0 2 {GPU} 5 0 6 0 7 0", "xnack on",
                     f"svm-get 0x10000 0x1000 2 {GPU}") == [
        "ok", "ok 0=ffffffff 1=ffffffff 4=1f2e 5=3 6=fffffffc 7=9", "ok", "ok 2=1f2e"]


@pytest.mark.parametrize("line", ["svm-set 0x10001 0x1000 0 0", "svm-set 0x10000 0x10 0 0", "svm-set 0 0x1000 0 0",
                                  "svm-set 0x10000 0 0 0", "svm-set 0x10000 0x1000 8 0", "svm-set 0x10000 0x1000 0 99",
                                  "svm-set 0x10000 0x1000 2 0", "svm-get 0x10000 0x1000 3 0", "svm-get 0x10000 0x1000 2 5",
                                  "acquire-vm 99 7"])
def test_what_the_kernel_refuses(line):
    assert Bench().ask("open", line) == ["ok", "EINVAL"]


def test_too_many_attributes_for_one_request():
    assert Bench().ask("open", "svm-set 0x10000 0x1000" + " 5 1" * 2045) == ["ok", "E2BIG"]
    assert Bench().ask("open", "svm-set 0x10000 0x1000" + " 5 1" * 2044) == ["ok", "ok"]


def test_xnack():
    assert Bench().ask("open", "xnack", "xnack on", "xnack", "xnack off", "xnack") == ["ok", "ok off", "ok", "ok on", "ok", "ok off"]
    assert Bench(can_xnack=False).ask("open", "xnack on", "xnack off", "xnack") == ["ok", "EPERM", "ok", "ok off"]
    assert Bench(queues=1).ask("open", "xnack on") == ["ok", "EBUSY"]


def test_events_and_what_is_lost():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    theirs.setblocking(False)
    os.set_inheritable(theirs.fileno(), True)
    ours.sendall(b"7 1 -96 @10(1f2e) R\n8 2 -96 @10(1f2e) U\n8 2 -96 @11(1f2e) U\n")
    bench = Bench(events=theirs.fileno())
    answers = bench.ask("open", f"open-events {GPU} 0x7f0", "events", "open-events 99 1", keep=[theirs.fileno()])
    assert answers == ["ok", "ok", "ok 7 8 8 gap: an end without its start", "EINVAL"]
    assert ours.recv(8) == (0x7F0).to_bytes(8, "little")


def test_libhsakmt_asks_the_same():
    """libhsakmt, a client that everybody uses, makes the same requests as drm_glue, byte for byte."""
    script = ["open", "xnack", "xnack on", f"svm-set 0x10000 0x2000 0 {GPU} 1 {GPU} 2 {GPU} 5 0x7c 6 3 7 4",
              f"svm-set 0x20000 0x1000 0 0 3 {GPU}", f"svm-get 0x10000 0x2000 0 0 1 0 2 {GPU} 5 0 6 0 7 0",
              f"svm-set 0x30000 0x1000 4 {GPU} 0 0xffffffff"]
    asked = {}
    for client in ("drm-requests", "kfd-peer"):
        bench = Bench()
        assert bench.ask(*script, by=client)[-1] == "ok"
        asked[client] = [each for each in bench.kfd.asked if each[0] in ("svm", "xnack")]
    assert asked["drm-requests"] == asked["kfd-peer"]
    assert len(asked["kfd-peer"]) == len(script) - 1


ALL = ("version", "apertures", f"acquire-vm {GPU} 7", "xnack", "xnack on", f"svm-set 0x10000 0x1000 0 {GPU}",
       "svm-get 0x10000 0x1000 0 0")
REQUESTS = 8  # `apertures` makes two


@pytest.mark.parametrize("at", range(REQUESTS))
@pytest.mark.parametrize("error", [errno.EINTR, errno.EAGAIN, errno.ENOMEM, errno.ENODEV])
def test_an_error_at_every_request(at, error):
    healthy = Bench().ask("open", *ALL)
    bench = Bench()
    bench.kfd.injected[at] = error
    answers = bench.ask("open", *ALL)
    if error in (errno.EINTR, errno.EAGAIN):
        assert answers == healthy
    else:
        assert answers.count(errno.errorcode[error]) == 1
        assert bench.kfd.count == REQUESTS - (at == 1)  # no repetition; no list without its number
