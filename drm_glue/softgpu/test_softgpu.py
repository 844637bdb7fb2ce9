"""build/softgpu as a person or a script starts it, and the headers that registers.py makes."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import pytest
import registers

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOFTGPU = ROOT / os.environ.get("FAULTLINE_BUILD", "build") / "softgpu"


def run(*words):
    return subprocess.run([SOFTGPU, *words], capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def started(tmp_path):
    """A process, its socket and its log."""
    path, log = tmp_path / "s", tmp_path / "log"
    with subprocess.Popen([SOFTGPU, "--socket", path, "--vram", "64M", "--seed", "3", "--log", log], stderr=subprocess.PIPE, text=True) as process:
        for _ in range(1000):
            if path.exists():
                break
            time.sleep(0.01)
        yield process, path, log
        process.kill()


def connected(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(str(path))
    return client


def ask(client, command, payload=b""):
    """The payload of a reply without an error."""
    client.sendall(struct.pack("<HHIII", 1, command, 16 + len(payload), 0, 0) + payload)
    _, _, size, flags, error = struct.unpack("<HHIII", client.recv(16, socket.MSG_WAITALL))
    assert (flags, error) == (1, 0)
    return client.recv(size - 16, socket.MSG_WAITALL) if size > 16 else b""


def test_help_teaches():
    done = run("--help")
    assert done.returncode == 0
    assert all(word in done.stdout for word in ("--socket PATH", "vfio-user-pci", "memory-backend-memfd", "modprobe amdgpu"))


@pytest.mark.parametrize("words, says", [
    ([], "--socket is missing"), (["--sockt", "x"], "unknown option '--sockt'"), (["--socket"], "--socket needs a value"),
    (["--socket", "x", "--vram", "100M"], "--vram 100M is no power of two from 16M to 16G"),
    (["--socket", "x", "--vram", "8M"], "--vram 8M is no power of two"), (["--socket", "x", "--vram", "32G"], "--vram 32G is no power of two"), (["--socket", "x", "--vram", "-1M"], "--vram -1M is no"),
    (["--socket", "x", "--seed", "one"], "--seed one is no number"),
    (["--socket", "x", "--broken", "off"], "--broken off: there is skip-invalidate, drop-fault and writes-freed-page"),
])
def test_bad_usage_is_told(words, says):
    done = run(*words)
    assert done.returncode == 2
    assert says in done.stderr


def test_what_cannot_be_made_is_told(tmp_path):
    done = run("--socket", tmp_path / "none" / "s")
    assert done.returncode == 4
    assert "No such file" in done.stderr
    done = run("--socket", tmp_path / ("x" * 200))
    assert done.returncode == 4
    assert "too long" in done.stderr


def test_ends_with_its_client(started):
    process, path, log = started
    with connected(path) as client:
        version = ask(client, 1, struct.pack("<HH", 0, 1) + json.dumps({"capabilities": {"write_multiple": True}}).encode() + b"\0")
        assert json.loads(version[4:-1])["capabilities"]["write_multiple"] is True
        assert ask(client, 9, struct.pack("<QII", 0, 7, 4))[16:] == b"\x02\x10\xa1\x66"
        memsize = 4 * 0xde3  # RCC_CONFIG_MEMSIZE
        assert struct.unpack("<I", ask(client, 9, struct.pack("<QII", memsize, 5, 4))[16:]) == (64,)
    assert process.wait(60) == 0
    assert not path.exists()
    assert "register nbio::RCC_CONFIG_MEMSIZE = 0x40" in log.read_text()


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("with_client", [False, True])
def test_ends_cleanly_at_a_signal(started, which, with_client):
    process, path, _ = started
    client = connected(path) if with_client else None
    if client:
        ask(client, 1, struct.pack("<HH", 0, 1))
    process.send_signal(which)
    assert process.wait(60) == 0
    assert not path.exists()
    if client:
        client.close()


def test_a_broken_client_is_told(started):
    process, path, _ = started
    with connected(path) as client:
        client.sendall(b"\xff" * 64)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert process.wait(60) == 1
    assert "the client sent what is no message" in process.stderr.read()


def write_register(client, offset, value):
    ask(client, 10, struct.pack("<QIII", 4 * offset, 5, 4, value))


@pytest.mark.parametrize("shorter", [True, False])
def test_a_client_that_takes_its_memory_away_is_told(started, shorter):
    """The GPU writes the IH ring's write pointer into memory, whose file has become shorter."""
    process, path, _ = started
    ih_rb_cntl, addr_hi, addr_lo = (0x1120 + each for each in (0, 5, 6))
    with connected(path) as client:
        ask(client, 1, struct.pack("<HH", 0, 1))
        memory = os.memfd_create("memory")
        os.ftruncate(memory, 4096)
        message = struct.pack("<HHIII", 1, 2, 48, 0, 0) + struct.pack("<IIQQQ", 32, 3, 0, 0x10000, 4096)
        socket.send_fds(client, [message], [memory])
        assert client.recv(16, socket.MSG_WAITALL)[8:] == struct.pack("<II", 1, 0)
        if shorter:
            os.ftruncate(memory, 0)
        write_register(client, addr_lo, 0x10000)
        write_register(client, addr_hi, 0)
        with contextlib.suppress(ConnectionResetError, struct.error):
            write_register(client, ih_rb_cntl, 1 << 31 | 1 << 8 | 1 << 28)  # clears an overflow, and so writes the pointer back
        os.close(memory)
    assert process.wait(60) == (1 if shorter else 0)
    assert ("the client took memory away that it had given" in process.stderr.read()) == shorter


def test_the_vram_that_a_client_gets_cannot_be_made_shorter(started):
    _, path, _ = started
    with connected(path) as client:
        ask(client, 1, struct.pack("<HH", 0, 1))
        client.sendall(struct.pack("<HHIII", 1, 5, 48, 0, 0) + struct.pack("<IIIIQQ", 32, 0, 0, 0, 0, 0))
        _, files, _, _ = socket.recv_fds(client, 48, 1)
        with pytest.raises(PermissionError):
            os.ftruncate(files[0], 0)
        os.close(files[0])


def test_takes_a_socket_that_nobody_listens_at(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with subprocess.Popen([SOFTGPU, "--socket", path]) as process:
        for _ in range(1000):
            try:
                connected(path).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.01)
        assert process.wait(60) == 0


def test_makes_firmware(tmp_path):
    assert run("--firmware", tmp_path / "amdgpu").returncode == 0
    names = sorted(each.name for each in (tmp_path / "amdgpu").iterdir())
    assert names == [f"vega20_{each}.bin" for each in ("ce", "me", "mec", "mec2", "pfp", "rlc", "sdma", "sdma1")]


IP = """static const struct IP_BASE OSSSYS_BASE ={ { { { 0x000010A0, 0/* a comment */, 0 } },
                                                  { { 0, 0, 0 } } } };"""


def test_reads_the_drivers_headers():
    segments = registers.bases(IP)
    assert segments == {"OSSSYS": [0x10a0, 0, 0]}
    offsets = "#define mmIH_RB_CNTL   0x0080\n#define mmIH_RB_CNTL_BASE_IDX  0\n#define mmFAR 0x1\n#define mmFAR_BASE_IDX 7\n"
    assert registers.registers(offsets, segments["OSSSYS"]) == {"IH_RB_CNTL": 0x1120}
    masks = ("#define IH_RB_CNTL__RB_SIZE__SHIFT  0x1\n#define IH_RB_CNTL__RB_SIZE_MASK  0x0000003EL\n"
             "#define OTHER__FIELD__SHIFT 0x0\n#define OTHER__FIELD_MASK 0x1L\n")
    assert registers.fields(masks) == {"IH_RB_CNTL__RB_SIZE": (1, 0x3e)}


def test_a_missing_package_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(registers, "FROM", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        registers.main([str(tmp_path / "a"), str(tmp_path / "b")])
    assert end.value.code == 4
    assert "install the package linux-source" in capsys.readouterr().err
