"""The lab with a GPU that is another process: the QEMU that reaches it, the kernel with amdgpu, its modules and firmware.

Those that need the QEMU or that kernel are skipped where they are not built (ci/lab qemu, ci/lab build --amdgpu).
"""

import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import threading

import pytest

HERE = pathlib.Path(__file__).resolve().parent
LAB = HERE / "lab"
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE / "lab.d"))

import accel  # noqa: E402
import build  # noqa: E402
import modules  # noqa: E402
import root as lab_root  # noqa: E402
import source as sources  # noqa: E402
import vfio_user  # noqa: E402
import vm  # noqa: E402
from common import LabError  # noqa: E402
from test_lab import child_of, state, wait_for  # noqa: E402


def lab(*words, **more):
    return subprocess.run([LAB, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
                          **more)


@pytest.fixture(scope="session")
def qemu():
    folder = lab_root.cached(lab_root.QEMU)
    if not folder:
        pytest.skip("the root of QEMU 11 is not built: ci/lab qemu")
    return vfio_user.program_of(folder)


@pytest.fixture(scope="session")
def amdgpu():
    """The folder of the kernel with amdgpu."""
    folder = build.cached(sources.find(None), build.AMDGPU)
    if not folder:
        pytest.skip("the kernel with amdgpu is not built: ci/lab build --amdgpu")
    return pathlib.Path(folder)


@pytest.fixture
def listening(tmp_path):
    """A socket where somebody listens, who serves one connection and counts them."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen(1)
        server.setblocking(False)
        yield server


# --- The command line.

@pytest.mark.parametrize("words, message", [
    (["--vfio-user", "/nowhere"], "--vfio-user /nowhere: No such file or directory. Start the device first"),
    (["--vfio-user", __file__], "nobody listens there"),
    (["--vfio-user", "/" + "long" * 40], "path too long"),
    (["--mutants", "--amdgpu"], "not allowed with"),
    (["--qemu-program", "qemu"], "--qemu-program is for --vfio-user SOCKET"),
    (["--modules", "/nowhere"], "modules /nowhere: no such folder"),
    (["--modules", str(HERE)], "there is no amdgpu.ko in it"),
    (["--firmware", "/nowhere"], "--firmware /nowhere: there is no file in this folder"),
])
def test_bad_usage_is_explained(words, message):
    done = lab("exec", *words, "--", "true")
    assert done.returncode == 2
    assert message in done.stderr


def test_a_socket_whose_server_has_gone(listening, tmp_path):
    path = listening.getsockname()
    listening.close()
    done = lab("exec", "--vfio-user", path, "--", "true")
    assert done.returncode == 2 and f"--vfio-user {path}: nobody listens there" in done.stderr


def test_a_server_does_not_notice_that_it_is_looked_for(listening):
    vfio_user.check_socket(listening.getsockname())
    with pytest.raises(BlockingIOError):
        listening.accept()


def test_a_socket_of_another_kind(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(LabError, match="for datagrams"):
            vfio_user.check_socket(str(tmp_path / "socket"))


def test_a_qemu_that_is_too_old(listening):
    path = listening.getsockname()
    old = accel.qemu()
    if b"vfio-user-pci" in subprocess.run([old, "-device", "help"], capture_output=True, check=True).stdout:
        pytest.skip("this machine's QEMU has vfio-user")
    for own, message in ((old, f"{old} has no vfio-user-pci"), ("/nowhere", "--qemu-program /nowhere: there is no such program")):
        done = lab("exec", "--vfio-user", path, "--qemu-program", own, "--", "true")
        assert done.returncode == 2
        assert message in done.stderr and "ci/lab qemu" in done.stderr


def test_the_device_and_memory_that_it_shares(qemu, listening):
    hardware = vfio_user.hardware(None, listening.getsockname(), 512)
    assert hardware.program == qemu
    assert "memory-backend-memfd,id=ram,size=512M,share=on" in hardware.words
    assert json.loads(hardware.words[-1])["socket"] == {"type": "unix", "path": listening.getsockname()}


# --- Its QEMU.

def test_where_its_packages_come_from():
    """Whatever the machine's mirror is: nothing else is asked."""
    words = lab_root.command(lab_root.QEMU, "FOLDER", "http://192.0.2.1/debian")
    assert words[-4:] == ["trixie", "FOLDER", "deb http://192.0.2.1/debian trixie main",
                          "deb http://192.0.2.1/debian trixie-backports main"]
    assert '--aptopt=APT::Default-Release "trixie-backports"' in words
    message = lab_root.explain(lab_root.QEMU, "U", "LOG")([], 100, ["E: The repository 'U' 404 Not Found"])
    assert "U does not give trixie and trixie-backports" in message and "ci/lab qemu --mirror URI" in message


def test_path_of_what_is_not_built(tmp_path):
    env = {**os.environ, "FAULTLINE_CACHE": str(tmp_path)}
    for words, message in ((["qemu", "--path"], "ci/lab qemu"), (["path", "--amdgpu"], "ci/lab build --amdgpu")):
        done = lab(*words, env=env)
        assert done.returncode == 3 and f"Build it: {message}" in done.stderr


def test_it_has_vfio_user_and_all_its_own(qemu):
    done = subprocess.run([*qemu, "-device", "help"], capture_output=True, text=True, check=True)
    assert done.stderr == ""  # such as of a module of the machine's own QEMU
    assert 'name "vfio-user-pci"' in done.stdout and 'name "virtio-gpu-pci"' in done.stdout
    version = subprocess.run([*qemu, "--version"], capture_output=True, text=True, check=True).stdout
    assert int(re.search(r"version (\d+)\.", version)[1]) >= 11
    vfio_user.check_program(qemu)


# --- Modules.

def module(folder, name, needs="", release="6.1.0-test"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.ko").write_bytes(f"\x7fELF..\0license=GPL\0depends={needs}\0name={name}\0"
                                        f"vermagic={release} SMP preempt mod_unload \0..".encode())


def test_modules_come_with_what_they_need(tmp_path):
    module(tmp_path / "drivers/gpu", "amdgpu", "ttm,gpu-sched")
    module(tmp_path / "drivers/ttm", "ttm", "core")
    module(tmp_path / "drivers/sched", "gpu-sched", "core")
    module(tmp_path / "core", "core")
    module(tmp_path / "core", "nothing-to-do-with-it")
    files = modules.guest_files(str(tmp_path), "amdgpu", "6.1.0-test")
    base = "lib/modules/6.1.0-test/"
    assert files.pop(base + "modules.dep")[0].decode().splitlines() == [
        "amdgpu.ko: gpu_sched.ko ttm.ko core.ko", "gpu_sched.ko: core.ko", "ttm.ko: core.ko", "core.ko:"]
    assert files.pop("etc/modprobe.d/amdgpu.conf")[0].startswith(b"options amdgpu ip_block_mask=0x67 noretry=0 ")
    assert set(files) == {base + name for name in ("amdgpu.ko", "gpu_sched.ko", "ttm.ko", "core.ko")}


def test_modules_that_do_not_fit(tmp_path):
    module(tmp_path, "amdgpu", "ttm")
    with pytest.raises(LabError, match="amdgpu needs ttm, and there is no ttm.ko"):
        modules.closure(str(tmp_path), "amdgpu")
    module(tmp_path, "ttm")
    with pytest.raises(LabError, match="they are for Linux 6.1.0-test, the kernel is 6.2.0"):
        modules.guest_files(str(tmp_path), "amdgpu", "6.2.0")
    (tmp_path / "ttm.ko").write_bytes(b"no module")
    with pytest.raises(LabError, match="ttm.ko is not a kernel module"):
        modules.closure(str(tmp_path), "amdgpu")


# --- Its kernel.

def test_the_options_of_a_variant_win(tmp_path, monkeypatch):
    for name, text in (("all", "# words\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y\n"), ("more", "CONFIG_B=m\n# CONFIG_C is not set\n")):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(build, "FRAGMENT", str(tmp_path / "all"))
    monkeypatch.setattr(build, "ADDED", {build.AMDGPU: str(tmp_path / "more")})
    assert build.fragment(build.LAB) == "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=y\n"
    assert build.fragment(build.AMDGPU) == "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n"


def test_a_build_is_complete(amdgpu):
    config = (amdgpu / "config").read_text().splitlines()
    assert {"CONFIG_HSA_AMD_SVM=y", "CONFIG_DEVICE_PRIVATE=y", "CONFIG_PROVE_LOCKING=y", "CONFIG_DRM_AMDGPU=m"} <= set(config)
    release = vm.release(str(amdgpu / "bzImage"))
    assert release == (amdgpu / "version").read_text().strip()
    found = {pathlib.Path(name).name for name in modules.guest_files(str(amdgpu / "modules"), "amdgpu", release)}
    assert found >= {"amdgpu.ko", "ttm.ko", "gpu_sched.ko", "firmware_class.ko"}
    assert not subprocess.run(["grep", "-l", "dc_create", amdgpu / "modules/amdgpu.ko"], capture_output=True, check=False).stdout


PROGRAM = """
test -c /dev/kfd && exit 1
modprobe amdgpu || exit 2
ls /dev/kfd; cat /sys/module/amdgpu/parameters/noretry /sys/module/amdgpu/parameters/sched_policy; cat /lib/firmware/a/b
"""


def test_the_driver_loads_without_a_device(amdgpu, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b").write_text("firmware\n")
    done = lab("exec", "--amdgpu", "--firmware", str(tmp_path), "--console", str(tmp_path / "console"), "--", "sh", "-c", PROGRAM)
    assert (done.returncode, done.stdout) == (0, "/dev/kfd\n0\n2\nfirmware\n"), done.stderr


# --- Both.

class Device(threading.Thread):
    """The least that QEMU takes for a PCI device: a configuration space of 256 bytes, no BAR, no interrupt."""
    MESSAGE = struct.Struct("<HHIII")  # number, command, size, flags, error
    VERSION, DMA_MAP, DMA_UNMAP, INFO, REGION_INFO, IRQ_INFO, READ, WRITE = 1, 2, 3, 4, 5, 7, 9, 10
    REPLY, NO_REPLY = 1, 16
    CONFIGURATION = 7

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.mapped = 0  # bytes of the guest's memory that came as files
        self.space = bytearray(256)
        self.space[:12] = struct.pack("<HHHHI", 0x1234, 0xFA17, 0, 0, 0xFF000000)  # vendor, device, ..., class: none

    def run(self):
        self.server.setblocking(True)
        try:
            connection, _ = self.server.accept()
        except OSError:  # the test ended, and nobody had come
            return
        with connection:
            while True:
                head, files, _, _ = socket.recv_fds(connection, self.MESSAGE.size, 8)
                if len(head) < self.MESSAGE.size:
                    return
                number, command, size, flags, _ = self.MESSAGE.unpack(head)
                body = connection.recv(size - len(head), socket.MSG_WAITALL) if size > len(head) else b""
                answer = self.answer(command, body, files)
                for each in files:
                    os.close(each)
                if not flags & self.NO_REPLY:
                    size = self.MESSAGE.size + len(answer)
                    connection.sendall(self.MESSAGE.pack(number, command, size, self.REPLY, 0) + answer)

    def answer(self, command, body, files):
        if command == self.VERSION:
            return body[:4] + b'{"capabilities":{"max_msg_fds":8}}\0'
        if command == self.DMA_MAP:
            self.mapped += struct.unpack_from("<Q", body, 24)[0] if files else 0
        elif command == self.DMA_UNMAP:
            return body
        elif command == self.INFO:
            return struct.pack("<IIII", 16, 3, 9, 5)  # PCI, can be reset; regions and interrupts as VFIO numbers them
        elif command == self.REGION_INFO:
            index, = struct.unpack_from("<I", body, 8)
            readable = index == self.CONFIGURATION
            return struct.pack("<IIIIQQ", 32, 3 if readable else 0, index, 0, len(self.space) if readable else 0, 0)
        elif command == self.IRQ_INFO:
            return struct.pack("<IIII", 16, 0, *struct.unpack_from("<I", body, 8), 0)
        elif command == self.READ:
            at, _, count = struct.unpack("<QII", body)
            return body + self.space[at:at + count]
        elif command == self.WRITE:
            return body[:16]
        return b""


@pytest.mark.parametrize("variant", [build.LAB, build.MUTANTS])
def test_the_guest_sees_the_device(variant, qemu, amdgpu, listening, tmp_path):
    if not build.cached(sources.find(None), variant or build.AMDGPU):
        pytest.skip(f"that kernel is not built: ci/lab build --{variant}")
    device = Device(listening)
    device.start()
    which = [f"--{variant}"] if variant else []
    done = lab("exec", *which, "--vfio-user", listening.getsockname(), "--memory", "512", "--console", str(tmp_path / "console"), "--",
               "sh", "-c", "grep -l 0xfa17 /sys/bus/pci/devices/*/device; modprobe amdgpu; echo $?")
    device.join(10)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"/sys/bus/pci/devices/0000:00:\w+\.0/device\n0\n", done.stdout)
    assert device.mapped >= 512 << 20


def test_a_device_that_says_nothing_sensible(qemu, amdgpu, listening, tmp_path):
    """QEMU says why, and the machine is not waited for."""
    device = Device(listening)
    device.answer = lambda *_: b""
    device.start()
    done = lab("exec", "--vfio-user", listening.getsockname(), "--console", str(tmp_path / "console"), "--", "true")
    device.join(10)
    assert done.returncode == 1
    assert "vfio-user-pci" in done.stderr and "QEMU failed with status 1" in done.stderr


def test_an_agent_starts_when_the_driver_is_there(qemu, amdgpu, listening, tmp_path):
    """The agent is a program that says what it finds."""
    (tmp_path / "agent.c").write_text('#include <stdio.h>\n#include <unistd.h>\n'
                                      'int main(int n, char** w) { puts(w[n - 1]); return access("/dev/kfd", F_OK); }')
    subprocess.run(["gcc", "-static", "-o", tmp_path / "agent", tmp_path / "agent.c"], check=True)
    Device(listening).start()
    done = lab("boot", "--vfio-user", listening.getsockname(), "--agent", str(tmp_path / "agent"),
               "--console", str(tmp_path / "console"))
    assert (done.returncode, done.stdout) == (0, "--stdio\n"), done.stderr


def test_no_machine_outlives_its_command(qemu, amdgpu, listening, tmp_path):
    """Its QEMU is started by ld.so, and goes by its own name."""
    Device(listening).start()
    with subprocess.Popen([LAB, "exec", "--vfio-user", listening.getsockname(), "--console", tmp_path / "console", "--",
                           "sleep", "600"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        machine = wait_for(lambda: child_of(process.pid))
        process.kill()
    wait_for(lambda: not os.path.exists(f"/proc/{machine}") or state(machine) == "Z")


def test_a_kernel_and_modules_of_ones_own(amdgpu, tmp_path):
    own = ["--kernel", str(amdgpu / "bzImage")]
    ask = ["--console", str(tmp_path / "console"), "--", "sh", "-c", "modprobe amdgpu 2>/dev/null; test -c /dev/kfd"]
    assert lab("exec", *own, *ask).returncode == 1
    assert lab("exec", *own, "--modules", str(amdgpu / "modules"), *ask).returncode == 0


# --- the GPU in software ---

BUS = "0000:00:03.0"


@pytest.fixture(scope="session")
def softgpu():
    program = HERE.parent / "build/softgpu"
    if not program.exists():
        pytest.skip("the GPU in software is not built: ninja build/softgpu")
    return program


def test_a_gpu_in_software_that_does_not_start(tmp_path):
    said = lab("exec", "--softgpu", tmp_path / "gone", "--", "true")
    assert said.returncode == 2
    assert said.stderr.endswith("gone: there is no such program. Build it: ninja build/softgpu\n")
    broken = tmp_path / "broken"
    broken.write_text('#!/bin/sh\n[ "$1" = --firmware ] && exit 0\necho "no memory" >&2\nexit 4\n')
    broken.chmod(0o755)
    said = lab("exec", "--softgpu", broken, "--console", tmp_path / "c", "--", "true")
    assert said.returncode == 2 and "the software GPU does not start: no memory" in said.stderr


def test_the_real_driver_takes_it(qemu, amdgpu, softgpu, tmp_path):
    said = lab("exec", "--softgpu", softgpu, "--console", tmp_path / "c", "--", "sh", "-c",
               "modprobe amdgpu && ls /dev/kfd && cat /sys/class/kfd/kfd/topology/nodes/*/name")
    assert said.returncode == 0 and said.stdout.split() == ["/dev/kfd", "vega20"], said.stderr
    assert "register" in (tmp_path / "c.gpu").read_text()  # its log


def test_the_gpu_is_among_the_labs_targets(qemu, amdgpu, softgpu):
    said = subprocess.run([HERE.parent / "build/faultline", "targets", "-t", "lab:amdgpu", HERE.parent / "stress/scenarios/fork"],
                          capture_output=True, text=True, timeout=300, check=False)
    assert said.returncode == 0, said.stderr
    words = [line.split()[:2] for line in said.stdout.splitlines() if line.startswith("lab:")]
    assert words == [[f"lab:amdgpu:{BUS}/{mode}", "available:"] for mode in ("xnack-on", "xnack-off", "xnack-on/svm", "xnack-off/svm")]
    assert "GPU lab-gpu:0000:" in said.stdout and "amdgpu" in said.stdout


def test_a_kernel_that_is_not_built_is_said(tmp_path):
    said = subprocess.run([HERE.parent / "build/faultline", "targets", "-t", "lab:amdgpu", HERE.parent / "stress/scenarios/fork"],
                          capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "FAULTLINE_CACHE": str(tmp_path)})
    assert "lab:amdgpu  not here: lab: not built yet. Build it: ci/lab build --amdgpu\n" in said.stdout


def test_scenarios_agree_on_the_real_driver(qemu, amdgpu, softgpu, tmp_path):
    """Copies and migrations, at the first of which lockdep reports a lock cycle of the driver, which is known."""
    scenarios = HERE.parent / "stress/scenarios"
    said = subprocess.run([HERE.parent / "build/faultline", "run", "-t", "lab:amdgpu", "--iterations", "3", "--json", tmp_path / "j",
                           scenarios / "driver-events", scenarios / "fork"],
                          capture_output=True, text=True, timeout=600, check=False)
    assert said.returncode == 0, said.stdout[-2000:] + said.stderr[-2000:]
    assert said.stdout.count(" agree (lab:amdgpu, Linux 6.1.") >= 20
    assert said.stdout.count("No finding: known finding lock-cycle (results/findings/lock-cycle.md)") == 1


@pytest.mark.parametrize("xnack", ["on", "off"])
def test_scenarios_agree_on_user_queues(qemu, amdgpu, softgpu, tmp_path, xnack):
    """Device threads are queues that KFD makes, stops and gives back. In weather, a fault is told while an access waits, and
    after: an access that did not wait for the answer to all of them (FaultDrain) would leave one beside the CPU's next fault."""
    program, scenarios = HERE.parent / "build/faultline", HERE.parent / "stress/scenarios"
    said = subprocess.run([program, "run", "-t", f"lab:amdgpu:{BUS}/xnack-{xnack}/svm", "--iterations", "3", "--json", tmp_path / "j",
                           "--seed", "3751656407", "--lab-append", "lockdep.prove_locking=0", scenarios / "fork", scenarios / "migration",
                           scenarios / "location"],
                          capture_output=True, text=True, timeout=600, check=False)
    assert said.returncode == 0, said.stdout[-2000:] + said.stderr[-2000:]
    assert said.stdout.count(" agree (lab:amdgpu") >= 12


def with_libraries(*programs):
    """Words for ci/lab that bring programs of build/ into the guest, with the libraries that they are linked with."""
    paths = [HERE.parent / "build" / each for each in programs]
    found = {path for each in paths for path in re.findall(r"(/\S+) \(0x", subprocess.check_output(["ldd", each], text=True))}
    return [word for path in [*map(str, paths), *sorted(found)]
            for word in ("--file", path if path.startswith(str(HERE.parent)) else f"{path}:{path}")]


QUEUES = """
modprobe amdgpu || exit 3
for each in /sys/class/drm/renderD*; do
  case $(readlink $each/device/driver) in */amdgpu) node=/dev/dri/${each##*/};; esac
done
gpu=$(cat /sys/class/kfd/kfd/topology/nodes/1/gpu_id)
for mode in on off; do
  for program in amdgpu-requests kfd-peer; do
    echo "queue $node $mode $gpu" | /$program 2>&1
  done
done
"""


def test_libhsakmt_makes_queues_that_do_the_same(qemu, amdgpu, softgpu, tmp_path):
    """Unmodified libhsakmt and drm_glue make an SDMA queue and SVM ranges on the real driver, with XNACK and without."""
    programs = ("amdgpu-requests", "kfd-peer")
    if not all((HERE.parent / "build" / each).exists() for each in programs):
        pytest.skip("not built: ninja build/amdgpu-requests build/kfd-peer")
    said = lab("exec", "--softgpu", softgpu, "--console", tmp_path / "c", *with_libraries(*programs), "--", "sh", "-c", QUEUES)
    ours_on, theirs_on, ours_off, theirs_off = [line for line in said.stdout.splitlines() if "amdgpu.ids" not in line]
    assert (ours_on, ours_off) == (theirs_on, theirs_off) and ours_on.startswith("ok 1099 ") and ours_off.startswith("ok 1099 ")
