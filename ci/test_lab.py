"""Tests of ci/lab: /usr/bin/python3 -m pytest ci/test_lab.py

They need the lab kernel (built if it is not cached) and its source. Without the source they
fail instead of being skipped, because nothing would be tested.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
import types

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, "lab")
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "lab.d"))

import accel  # noqa: E402
import build  # noqa: E402
import initramfs  # noqa: E402
import mutants  # noqa: E402
import source as sources  # noqa: E402
import vm  # noqa: E402
from common import LabError  # noqa: E402

ECHO = """
#include <unistd.h>
int main(void) {
  char b[4096];
  for (ssize_t n; (n = read(0, b, sizeof b)) > 0;)
    for (ssize_t i = 0, w; i < n; i += w)
      if ((w = write(1, b + i, n - i)) <= 0) return 1;
  return 0;
}
"""

# Prints the kernel command line, then does what the first input byte asks for.
PROBE = """
#include <fcntl.h>
#include <unistd.h>
static void copy(const char* path) {
  char b[4096];
  int fd = open(path, O_RDONLY);
  for (ssize_t n; (n = read(fd, b, sizeof b)) > 0;)
    if (write(1, b, n) != n) return;
}
int main(void) {
  char what;
  copy("/proc/cmdline");
  if (read(0, &what, 1) != 1) return 0;
  if (what == 'c' && write(open("/proc/sysrq-trigger", O_WRONLY), "c", 1) != 1) return 2;
  return what;
}
"""


def lab(*words, **more):
    return subprocess.run([LAB, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=300, **more)


def compiled(folder, name, text):
    code = folder / f"{name}.c"
    code.write_text(text)
    subprocess.run(["gcc", "-O1", "-static", "-o", folder / name, code], check=True)
    return str(folder / name)


@pytest.fixture(scope="session")
def agents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("agents")
    return {"echo": compiled(folder, "echo", ECHO), "probe": compiled(folder, "probe", PROBE)}


@pytest.fixture(scope="session")
def kernel_source():
    """The distribution's kernel source. Its absence is an error, not a skip."""
    return sources.find(None)


# --- The command line.

@pytest.mark.parametrize("words, message", [
    ([], "COMMAND"),
    (["boot"], "--agent"),
    (["fly"], "invalid choice"),
    (["exec"], "COMMAND"),
    (["boot", "--agent", "x", "--cpus", "0"], "at least 1"),
    (["boot", "--agent", "/nowhere"], "No such file"),
    (["boot", "--agent", __file__], "not a static x86-64 ELF"),
    (["boot", "--agent", "/bin/ls"], "-static"),
    (["exec", "--file", "/nowhere", "--", "true"], "/nowhere"),
    (["exec", "--kernel", "/nowhere", "--", "true"], "No such file"),
    (["exec", "--kernel", __file__, "--", "true"], "not a bzImage"),
    (["exec", "--kernel", "/bin/ls", "--", "true"], "ELF"),
    (["build", "--source", "9.9"], "apt-get install linux-source-9.9"),
    (["build", "--source", "/nowhere"], "no such file or folder"),
    (["build", "--source", HERE], "not the top of a Linux source tree"),
])
def test_bad_usage_is_explained(words, message):
    done = lab(*words, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert message in done.stderr.decode()


def test_help_teaches():
    text = lab("--help").stdout.decode()
    for word in ("ci/lab build", "ci/lab boot", "hmm-tests", "exit status", "bzImage"):
        assert word in text


def test_path_of_what_is_not_built(tmp_path):
    done = lab("path", "--mutants", env={**os.environ, "FAULTLINE_CACHE": str(tmp_path)})
    assert done.returncode == 3
    assert "ci/lab build --mutants" in done.stderr.decode()


# --- The key of a build.

def test_key_follows_its_inputs(tmp_path, monkeypatch):
    tarball = tmp_path / "linux.tar"
    tarball.write_bytes(b"one")
    first = build.key(sources.Source(str(tarball)), build.LAB)
    assert build.key(sources.Source(str(tarball)), build.LAB) == first
    others = [build.key(sources.Source(str(tarball)), each) for each in (build.MUTANTS, build.AMDGPU)]
    assert len({first, *others}) == 3

    fragment = tmp_path / "kernel.config"
    fragment.write_text("CONFIG_SMP=y\n")
    with monkeypatch.context() as patch:
        patch.setattr(build, "FRAGMENT", str(fragment))
        assert build.key(sources.Source(str(tarball)), build.LAB) != first
    with monkeypatch.context() as patch:
        patch.setattr(build, "compiler", lambda: "gcc 99")
        assert build.key(sources.Source(str(tarball)), build.LAB) != first

    tarball.write_bytes(b"two")
    assert build.key(sources.Source(str(tarball)), build.LAB) != first


def test_tree_identity_follows_an_edit(tmp_path):
    (tmp_path / "Kbuild").write_text("")
    before = sources.tree_identity(str(tmp_path))
    assert sources.tree_identity(str(tmp_path)) == before
    (tmp_path / "Kbuild").write_text("changed")
    assert sources.tree_identity(str(tmp_path)) != before


def test_options_not_in_effect_are_named():
    fragment = "# words\nCONFIG_A=y\nCONFIG_B=y\n# CONFIG_C is not set\n# CONFIG_D is not set\n"
    config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y\n"
    assert build.not_in_effect(fragment, config) == ["CONFIG_B=y", "CONFIG_C is not set"]


def test_missing_tools_are_named(monkeypatch):
    monkeypatch.setitem(build.TOOLS, "no-such-tool", "no-such-package")
    with pytest.raises(LabError, match="apt-get install .*no-such-package"):
        build.check_tools()


def test_a_small_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "NEEDED_BYTES", 1 << 60)
    with pytest.raises(LabError, match="FAULTLINE_CACHE"):
        sources.room(str(tmp_path))


# --- Archives.

def test_archive_unpacks_as_cpio_reads_it(tmp_path):
    archive = initramfs.Archive()
    archive.file("a/b/run", b"odd", 0o755)
    archive.symlink("a/link", "b/run")
    subprocess.run(["cpio", "-idm", "--quiet"], input=archive.bytes(), cwd=tmp_path, check=True)
    assert (tmp_path / "a/b/run").read_bytes() == b"odd"
    assert os.access(tmp_path / "a/b/run", os.X_OK)
    assert os.readlink(tmp_path / "a/link") == "b/run"


# --- Machines.

@pytest.fixture(scope="session")
def built():
    done = lab("build")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip().splitlines()[-1]


def test_a_build_is_complete(built):
    for name in ("bzImage", "System.map", "config", "version", "hmm-tests", "initramfs"):
        assert os.path.getsize(os.path.join(built, name)) > 0
    assert lab("path").stdout.decode().strip() == built
    assert lab("version").stdout.decode().startswith("6.")
    vm.check_kernel(os.path.join(built, "bzImage"))


def test_the_stream_is_clean(built, agents, tmp_path):
    """Every byte value passes in both directions at once. Then the end of input ends the machine."""
    data = bytes(range(256)) * 1024
    done = lab("boot", "--agent", agents["echo"], "--console", str(tmp_path / "console"),
               input=data)
    assert done.stdout == data
    assert done.returncode == 0, done.stderr.decode()
    assert b"reboot: Power down" in (tmp_path / "console").read_bytes()


def test_words_reach_the_command_line(built, agents, tmp_path):
    done = lab("boot", "--agent", agents["probe"], "--append", "faultline_test=1 other",
               "--console", str(tmp_path / "console"), input=b"\0")
    assert done.stdout.decode().endswith(" faultline_test=1 other\n")
    assert done.returncode == 0, done.stderr.decode()


def test_a_panic_ends_the_stream_and_leaves_its_words(built, agents, tmp_path):
    console = tmp_path / "console"
    process = subprocess.Popen([LAB, "boot", "--agent", agents["probe"], "--console", console],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdin.write(b"c")
    process.stdin.flush()  # and stays open, because the machine must end the session
    out = process.stdout.read()
    assert process.wait(60) == 1
    assert b"console=ttyS0" in out
    assert b"Kernel panic" in console.read_bytes()
    words = process.stderr.read().decode()
    assert "the guest's kernel panicked" in words and "Kernel panic - not syncing" in words
    process.stdin.close()


def test_exec_gives_output_and_status(built, tmp_path):
    sent = tmp_path / "sent"
    sent.write_text("payload\n")
    done = lab("exec", "--file", f"{sent}:/tmp-sent", "--console", str(tmp_path / "console"), "--",
               "sh", "-c", 'cat /tmp-sent; ls /dev/hmm_dmirror0; echo "$1"; exit 9', "sh", "a  b")
    assert done.stdout.decode() == "payload\n/dev/hmm_dmirror0\na  b\n"
    assert done.returncode == 9


@pytest.fixture
def tree(built, tmp_path):
    """A build tree as `make bzImage` leaves it."""
    image = tmp_path / "linux/arch/x86/boot/bzImage"
    image.parent.mkdir(parents=True)
    shutil.copyfile(os.path.join(built, "bzImage"), image)
    shutil.copyfile(os.path.join(built, "config"), tmp_path / "linux/.config")
    return tmp_path / "linux"


def test_a_kernel_of_ones_own_needs_none_of_ours(tree, tmp_path):
    env = {**os.environ, "FAULTLINE_CACHE": str(tmp_path / "cache")}
    for _ in range(2):
        done = lab("exec", "--kernel", str(tree / "arch/x86/boot/bzImage"), "--console", str(tmp_path / "console"), "--",
                   "sh", "-c", "ls /files.ext4; [ -e /hmm-tests ] || exit 7", env=env)
        assert (done.returncode, done.stdout) == (7, b"/files.ext4\n"), done.stderr.decode()
    assert [name.split("-")[0] for name in sorted(os.listdir(tmp_path / "cache/lab"))] == ["base", "kvm"]


def test_a_kernel_without_an_option_is_told(tree):
    config = (tree / ".config").read_text()
    (tree / ".config").write_text(config.replace("CONFIG_VIRTIO_CONSOLE=y", "CONFIG_VIRTIO_CONSOLE=m"))
    done = lab("exec", "--kernel", str(tree / "arch/x86/boot/bzImage"), "--", "true")
    assert done.returncode == 2
    assert "cannot run in the lab without VIRTIO_CONSOLE: build it with scripts/config -e VIRTIO_CONSOLE" in done.stderr.decode()


@pytest.mark.parametrize("words, reason", [
    (vm.APPEND, ""),
    (vm.APPEND.replace("no_timer_check ", ""), "the guest's kernel panicked"),
])
def test_a_timer_that_is_late_does_not_end_a_boot(built, tmp_path, monkeypatch, words, reason):
    """The kernel's timer check takes late ticks for missing ones; here no timer ticks at all."""
    monkeypatch.setattr(vm, "APPEND", words)
    options = types.SimpleNamespace(kernel=os.path.join(built, "bzImage"), append="", memory=1024, cpus=2, accel="tcg",
                                    console=str(tmp_path / "console"), qemu="-machine hpet=off,pit=off", timeout=None,
                                    verbose=False)
    overlay = {"lab-command": (b"#!/bin/sh\nexit 7\n", 0o755)}
    with open(os.devnull, "wb") as sink:
        result = vm.run(options, os.path.join(built, "initramfs"), overlay, None, sink.fileno())
    assert result.reason == reason, result.console.last_words()
    assert result.status == (None if reason else 7)
    assert (b"IO-APIC + timer doesn't work" in result.console.text()) == bool(reason)


def test_mutants_are_alive_and_the_healthy_kernel_is_not(tmp_path):
    """For each mutant that needs no race, the witness shows the bug, and shows nothing without it."""
    subprocess.run(["gcc", "-O1", "-static", "-o", tmp_path / "witness",
                    os.path.join(HERE, "lab.d", "witness.c")], check=True)
    done = lab("exec", "--mutants", "--file", f"{tmp_path}/witness:/witness",
               "--console", str(tmp_path / "console"), "--", "/witness")
    told = done.stdout.decode().splitlines()
    quiet = [m.number for m in mutants.MUTANTS if not m.race]
    assert told == [f"{n} healthy clean, mutant seen" for n in quiet], done.stderr.decode()
    assert done.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_machine_outlives_its_command(built, agents, tmp_path, number):
    process = subprocess.Popen([LAB, "boot", "--agent", agents["echo"],
                                "--console", tmp_path / "console"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    machine = wait_for(lambda: child_of(process.pid))
    process.send_signal(number)
    process.wait(30)
    wait_for(lambda: not os.path.exists(f"/proc/{machine}") or state(machine) == "Z")
    process.stdin.close()


def child_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        for child in f.read().split():
            with open(f"/proc/{child}/comm", encoding="ascii") as name:
                if name.read().startswith("qemu"):
                    return int(child)
    return None


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rpartition(")")[2].split()[0]


def wait_for(condition, limit_s=30):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def test_the_probe_believes_what_runs(tmp_path, monkeypatch):
    """The boot sector ends QEMU under TCG with its own status. A guest that hangs counts as not working."""
    assert accel.runs_boot_sector(accel.TCG)
    monkeypatch.setattr(accel, "BOOT_SECTOR", b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa")
    monkeypatch.setattr(accel, "LIMIT_S", 1)
    assert not accel.runs_boot_sector(accel.TCG)
