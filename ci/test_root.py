"""Tests of ci/lab root and ci/lab chroot: /usr/bin/python3 -m pytest ci/test_root.py

Tests of the chroot must run as root. They need the Debian 13 root and make it if it is not cached.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, "lab")
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "lab.d"))

import progress  # noqa: E402
import root as lab_root  # noqa: E402
from common import LabError  # noqa: E402

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def lab(*words, **more):
    return subprocess.run([LAB, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=300, **more)


def wait_for(condition, limit_s=30):
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


# --- The command line.

@pytest.mark.parametrize("words, message", [
    (["root", "--frob"], "unrecognized arguments: --frob"),
    (["chroot"], "--agent FILE or, after --, a command"),
    (["chroot", "--agent", "x", "--", "ls"], "--agent FILE or, after --, a command"),
    (["chroot", "--agent", "/nowhere"], "/nowhere: No such file"),
    (["chroot", "--agent", __file__], "is not a program"),
])
def test_bad_usage_is_explained(words, message):
    done = lab(*words, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert message in done.stderr.decode()


def test_help_teaches():
    text = lab("--help").stdout.decode()
    for word in ("ci/lab root", "ci/lab chroot --agent", "mmdebstrap", "apt sources"):
        assert word in text


def test_path_of_what_is_not_built(tmp_path):
    done = lab("root", "--path", env={**os.environ, "FAULTLINE_CACHE": str(tmp_path)})
    assert done.returncode == 3
    assert "Build it: ci/lab root" in done.stderr.decode()


# --- Where packages come from.

PLAIN = """# deb http://192.0.2.9/debian bookworm main
deb-src http://192.0.2.8/debian bookworm main
deb http://192.0.2.7/debian-security bookworm-security main
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://192.0.2.1/pub/debian/ bookworm main contrib # why
"""
DEB822 = """# the machine's own
Enabled: no
Types: deb
URIs: http://192.0.2.9/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://192.0.2.7/debian-security
Suites: bookworm-security
Components: main

Types: deb deb-src
# nearer than the other
URIs: http://192.0.2.2/debian
Suites: bookworm-updates bookworm bookworm-backports
Components: contrib
 main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
CDROM = "deb cdrom:[Debian GNU/Linux 12]/ bookworm main\n"
VENDOR = "deb http://192.0.2.5/tools bookworm main\n"


def apt_sources(folder, texts):
    """The environment of a machine with these apt sources files."""
    parts = folder / "parts"
    parts.mkdir()
    for name, text in texts.items():
        (parts / name).write_text(text)
    config = folder / "apt.conf"
    config.write_text(f'Dir::Etc::sourcelist "{folder}/none";\nDir::Etc::sourceparts "{parts}";\n')
    return {"APT_CONFIG": str(config)}


@pytest.mark.parametrize("texts, uri", [
    ({"a.list": PLAIN}, "http://192.0.2.1/pub/debian"),
    ({"a.sources": DEB822}, "http://192.0.2.2/debian"),
    ({"a.list": CDROM + PLAIN}, "http://192.0.2.1/pub/debian"),
    ({"a.list": VENDOR, "b.sources": DEB822}, "http://192.0.2.2/debian"),
    ({"a.list": VENDOR}, "http://192.0.2.5/tools"),
    ({"a.list": VENDOR + "deb file:/srv/debian trixie main\n"}, "file:/srv/debian"),
])
def test_the_mirror_is_the_machines_own(texts, uri, tmp_path, monkeypatch):
    monkeypatch.setenv("APT_CONFIG", apt_sources(tmp_path, texts)["APT_CONFIG"])
    assert lab_root.mirror() == uri


@pytest.mark.parametrize("texts, message", [
    ({}, "--mirror URI"),
    ({"a.list": "".join(PLAIN.splitlines(True)[:3])}, "--mirror URI"),
    ({"a.list": CDROM}, "--mirror URI"),
    ({"a.list": "deb http://192.0.2.1/debian\n"}, "Malformed entry 1"),
])
def test_no_mirror_is_explained(texts, message, tmp_path, monkeypatch):
    monkeypatch.setenv("APT_CONFIG", apt_sources(tmp_path, texts)["APT_CONFIG"])
    with pytest.raises(LabError, match=message):
        lab_root.mirror()


# --- Making it.

def test_key_follows_its_inputs(monkeypatch):
    root = lab_root.OPENCL
    before = lab_root.key(root)
    assert lab_root.key(root) == before != lab_root.key(lab_root.QEMU)
    for change in ({"suites": ["sid"]}, {"packages": ["bash"]}, {"trimmed": []}, {"files": {}}, {"links": {"a": "b"}}):
        assert lab_root.key(root._replace(**change)) != before
    monkeypatch.setattr(lab_root, "read_text", lambda path: "changed")
    assert lab_root.key(root) != before


@pytest.mark.parametrize("target, name, value, message", [
    (os, "geteuid", lambda: 1000, "sudo ci/lab root"),
    (lab_root.shutil, "which", lambda tool: None, "apt-get install mmdebstrap"),
    (lab_root, "NEEDED_BYTES", 1 << 60, "FAULTLINE_CACHE"),
])
def test_what_is_missing_is_told_first(target, name, value, message, tmp_path, monkeypatch):
    monkeypatch.setenv("FAULTLINE_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(target, name, value)
    with pytest.raises(LabError, match=message):
        lab_root.build(lab_root.OPENCL, "http://127.0.0.1:1/debian")
    assert [path.name for path in tmp_path.glob("lab/root-*")] == []


@pytest.mark.parametrize("line, message", [
    ("tar: usr/lib/x: Cannot write: No space left on device", "the disk is full"),
    ("E: Failed to fetch U  Could not connect", "no network"),
    ("W: GPG error: the public key is not available: NO_PUBKEY 1", "debian-archive-keyring"),
    ("E: something else", "failed with status 25"),
])
def test_failures_say_what_to_do(line, message):
    assert message in lab_root.explain(lab_root.OPENCL, "U", "LOG")([], 25, [line])


def test_progress_counts_steps_and_keeps_errors(tmp_path):
    meter = progress.Meter(lab_root.STEP, "steps done")
    said = ("Get:3 http://192.0.2.1/debian trixie/main amd64 bash amd64 5.2 [1 kB]",
            "I: extracting archives...",
            "D: 7 19 running dpkg-deb --fsys-tarfile /r//var/cache/apt/archives/bash_5.2_amd64.deb", "E: bad")
    with pytest.raises(LabError, match=r"3 \['E: bad'\]"):
        progress.run_logged(["sh", "-c", 'printf "%s\\n" "$@"; exit 3', "sh", *said], os.environ,
                            tmp_path / "log", meter, lambda _, status, errors: f"{status} {errors}")
    assert meter.steps == 2
    assert (tmp_path / "log").read_text().endswith("\n".join(said) + "\n")
    with pytest.raises(LabError, match="status 2\n  | a.c:1: error: no"):
        progress.run_make(["sh", "-c", "echo '  CC      a.o'; echo 'a.c:1: error: no'; exit 2"], os.environ,
                          tmp_path / "log")


@as_root
def test_no_network_is_explained(tmp_path):
    """The machine's apt sources name an address where nothing listens."""
    env = {**os.environ, **apt_sources(tmp_path, {"a.list": "deb http://127.0.0.1:9/debian sid main"}),
           "FAULTLINE_CACHE": str(tmp_path)}
    done = lab("root", env=env)
    assert done.returncode == 4
    assert "http://127.0.0.1:9/debian does not give trixie: no network" in done.stderr.decode()
    assert list(tmp_path.glob("lab/root-*")) == []


@as_root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_killed_build_leaves_no_root(number, tmp_path):
    """The mirror accepts the connection but never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        build = subprocess.Popen(
            [LAB, "root", "--mirror", f"http://127.0.0.1:{server.getsockname()[1]}/debian"],
            env={**os.environ, "FAULTLINE_CACHE": str(tmp_path)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(20)
            while b"\r\n\r\n" not in connection.recv(4096):
                pass
            build.send_signal(number)
            out, _ = build.communicate(timeout=20)
            assert connection.recv(1) == b""  # the process that fetched is gone
    assert build.returncode in (128 + number, -number) and out == b""
    left = [path.name for path in tmp_path.glob("lab/root-*")]
    assert [name for name in left if not name.endswith(".partial")] == []
    assert number == signal.SIGKILL or left == []
    path = lab("root", "--path", env={**os.environ, "FAULTLINE_CACHE": str(tmp_path)})
    assert path.returncode == 3


# --- What runs in it.

def out_of_reach():
    """Why no code could make the root on this machine, or None."""
    try:
        with urllib.request.urlopen(f"{lab_root.mirror()}/dists/trixie/Release", timeout=20):
            return None
    except (OSError, LabError) as error:
        return f"trixie on this machine's Debian mirror: {error}"


@pytest.fixture(scope="session")
def built():
    if not lab_root.cached(lab_root.OPENCL) and (why := out_of_reach()):
        pytest.skip(why)
    done = lab("root")
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def inside(*words, **more):
    return lab("chroot", "--", *words, **more)


@as_root
def test_exit_status_and_signals_pass_through(built):
    assert inside("sh", "-c", "exit 9").returncode == 9
    assert inside("sh", "-c", "kill -USR1 $$").returncode == -signal.SIGUSR1
    assert inside("sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL
    missing = inside("no-such-command")
    assert missing.returncode == 127 and b"no-such-command" in missing.stderr


ECHO = """
#include <iostream>
int main(int count, char** words) {
  std::string all{std::istreambuf_iterator<char>(std::cin), {}};
  std::cerr << words[0] << ' ' << words[count - 1];
  std::cout << all;
}
"""


@as_root
def test_the_stream_is_clean(built, tmp_path):
    """Every byte value passes through a dynamically linked program, in both directions."""
    (tmp_path / "echo.cpp").write_text(ECHO)
    subprocess.run(["g++", "-o", tmp_path / "echo", tmp_path / "echo.cpp"], check=True)
    data = bytes(range(256)) * 4096
    done = lab("chroot", "--agent", str(tmp_path / "echo"), input=data)
    assert done.returncode == 0 and done.stderr == b"/agent --stdio"
    assert done.stdout == data


SVM = """
#define CL_TARGET_OPENCL_VERSION 300
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>
int main(void) {
  cl_platform_id platforms[8];
  cl_uint count = 0;
  clGetPlatformIDs(8, platforms, &count);
  for (cl_uint i = 0; i < count; i++) {
    const char* text = "kernel void add(global int* at, int n) { at[get_global_id(0)] += n; }";
    const size_t items = 4;
    char name[256] = "";
    cl_device_id device;
    cl_device_svm_capabilities svm = 0;
    clGetPlatformInfo(platforms[i], CL_PLATFORM_NAME, sizeof name, name, 0);
    if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, &device, 0)) continue;
    clGetDeviceInfo(device, CL_DEVICE_SVM_CAPABILITIES, sizeof svm, &svm, 0);
    cl_context context = clCreateContext(0, 1, &device, 0, 0, 0);
    cl_command_queue queue = clCreateCommandQueueWithProperties(context, device, 0, 0);
    cl_program program = clCreateProgramWithSource(context, 1, &text, 0, 0);
    clBuildProgram(program, 1, &device, "", 0, 0);
    cl_kernel kernel = clCreateKernel(program, "add", 0);
    int* mine = calloc(4, sizeof *mine);
    const int n = 7;
    clSetKernelArgSVMPointer(kernel, 0, mine);
    clSetKernelArg(kernel, 1, sizeof n, &n);
    clEnqueueNDRangeKernel(queue, kernel, 1, 0, &items, 0, 0, 0, 0);
    clFinish(queue);
    printf("%s: %s%s%d\\n", name, svm & CL_DEVICE_SVM_FINE_GRAIN_SYSTEM ? "system " : "",
           svm & CL_DEVICE_SVM_ATOMICS ? "atomics " : "", mine[3]);
  }
}
"""


@as_root
def test_its_drivers_share_all_memory(built, tmp_path):
    """An OpenCL kernel adds to memory from malloc()."""
    (tmp_path / "svm.c").write_text(SVM)
    subprocess.run(["gcc", "-o", tmp_path / "svm", tmp_path / "svm.c", "-lOpenCL"], check=True)
    done = lab("chroot", "--agent", str(tmp_path / "svm"))
    assert sorted(done.stdout.decode().splitlines()) == [
        "Portable Computing Language: system atomics 7", "rusticl: system 7"], done.stderr.decode()
    own = {**os.environ, "RUSTICL_ENABLE": "none"}  # a variable that the user has set is kept
    assert b"rusticl" not in lab("chroot", "--agent", str(tmp_path / "svm"), env=own).stdout


@as_root
def test_it_has_its_own_files(built):
    done = inside("sh", "-c", "touch /agent2; touch /tmp/a /root/b /dev/shm/c && ls /tmp /dev/shm; "
                  "echo $HOME; ls -d /proc/[0-9]* > /tmp/a; wc -l < /tmp/a")
    assert done.stdout.decode().split() == ["/dev/shm:", "c", "/tmp:", "a", "/root", "2"]  # sh and ls
    assert b"Read-only file system" in done.stderr
    assert not os.path.exists(os.path.join(built, "root", "b"))


@pytest.mark.skipif(os.geteuid() != 0, reason="is about those who are not root")
def test_who_is_not_root_is_told():
    done = inside("true", user=65534)
    assert done.returncode == 4 and b"sudo ci/lab chroot" in done.stderr


def below(pid):
    """All descendants of the process."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        own = [int(word) for word in f.read().split()]
    return own + [each for child in own for each in below(child)]


def mounts_of(pid):
    """The name of the process's mount namespace, which lives as long as one of its processes."""
    try:
        return os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return None  # the process has ended


BUSY = "sleep 600 & sleep 600 & echo ready; wait"
DEAF = "trap '' TERM INT; " + BUSY


@as_root
@pytest.mark.parametrize("number, text, ended", [
    (signal.SIGKILL, BUSY, signal.SIGKILL),
    (signal.SIGTERM, BUSY, signal.SIGTERM),
    (signal.SIGINT, BUSY, signal.SIGINT),
    (signal.SIGTERM, DEAF, signal.SIGKILL),
])
def test_nothing_outlives_it(built, number, text, ended):
    def gone():
        return not any(os.path.exists(f"/proc/{pid}") for pid in processes)
    chroot = subprocess.Popen([LAB, "chroot", "--", "sh", "-c", text], stdout=subprocess.PIPE)
    assert chroot.stdout.readline() == b"ready\n"
    processes = wait_for(lambda: len(below(chroot.pid)) == 4 and below(chroot.pid))
    mounts = mounts_of(processes[-1])
    assert mounts and mounts != mounts_of("self")
    chroot.send_signal(number)
    assert chroot.wait(20) == -ended
    wait_for(gone)
    assert mounts not in [mounts_of(pid) for pid in os.listdir("/proc") if pid.isdigit()]
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        assert built not in f.read()
    chroot.stdout.close()
