"""drm_glue's requests to nouveau, through unmodified libdrm, on a mocked render node."""

import errno

import pytest

from machine import Machine
from drm import Nouveau

NODE = "/dev/dri/renderD128"
OPEN = f"render-node {NODE}"
VRAM = 1 << 31


class Bench:
    def __init__(self, **options):
        self.nouveau = Nouveau(**options)
        machine = Machine()
        machine.add("devices/pci0000:00/0000:01:00.0/drm/renderD128", "dri/renderD128", "drm")
        machine.boot(NODE, self.nouveau)
        self.ask = machine.ask


def test_svm():
    bench = Bench()
    assert bench.ask(OPEN, "init-svm 0x100000000 0x8000000000", "migrate-to-vram 0x7f0000000000 0x3000") == [
        "ok nouveau 1.3.1", "ok", "ok"]
    assert bench.nouveau.asked[-2:] == [("svm_init", 0x100000000, 0x8000000000),
                                         ("svm_bind", 0, 0, VRAM, 0x7F0000000000, 0x7F0000003000, 3, 0)]
    assert bench.nouveau.vram == set()  # nothing is mapped there


def test_what_the_kernel_refuses():
    assert Bench(svm=False).ask(OPEN, "init-svm 0 0x1000")[1:] == ["ENOSYS"]
    assert Bench().ask(OPEN, "init-svm 0 0x1000", "init-svm 0 0x1000")[1:] == ["ok", "EBUSY"]
    assert Bench().ask(OPEN, "migrate-to-vram 0x10000 0x1000")[1:] == ["EINVAL"]
    assert Bench().ask(OPEN, "init-svm 0 0x1000", "migrate-to-vram 0x10000 0")[1:] == ["ok", "EINVAL"]


@pytest.mark.parametrize("at", range(4))  # libdrm asks for the version twice
@pytest.mark.parametrize("error", [errno.EINTR, errno.EAGAIN, errno.ENOMEM, errno.ENODEV])
def test_an_error_at_every_request(at, error):
    script = [OPEN, "init-svm 0x100000000 0x1000", "migrate-to-vram 0x7f0000000000 0x1000"]
    bench = Bench()
    bench.nouveau.injected[at] = error
    answers = bench.ask(*script)
    if error in (errno.EINTR, errno.EAGAIN):
        assert answers == ["ok nouveau 1.3.1", "ok", "ok"]
    else:
        assert answers[max(at - 1, 0)] == errno.errorcode[error]
