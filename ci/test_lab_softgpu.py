"""Runs on the real amdgpu with the GPU in software: its options, what it can run out of, its end, kernels of one's own.

Those that boot are skipped where the QEMU, the kernel or the GPU is not built (test_lab_gpu.py).
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest

from test_lab_gpu import HERE, amdgpu, lab, qemu, softgpu  # noqa: F401  pylint: disable=unused-import

import driver_build
import modules
import source as sources
import softgpu as softgpu_lab
import stock
from common import LabError

ROOT = HERE.parent
SCENARIOS = ROOT / "stress/scenarios"
NO_LOCK_CYCLE = ["--lab-append", "lockdep.prove_locking=0"]  # of 6.1's driver, at the first migration


def faultline(*words):
    return subprocess.run([ROOT / "build/faultline", *words], capture_output=True, text=True, timeout=600, check=False)


def records(path, event):
    return [each for each in map(json.loads, path.read_text().splitlines()) if each["ev"] == event]


# --- Its start.

@pytest.mark.parametrize("log, status, said, started", [
    ("[drm:amdgpu_device_delayed_init_work_handler [amdgpu]] *ERROR* ib ring test failed (-110).", 1, "got no answer in its ring tests", False),
    ("[drm] Initialized amdgpu 3.49.0", 7, "", True)])
def test_a_gpu_that_gave_no_answer_is_no_machine(tmp_path, log, status, said, started):
    """The driver refuses all work after its ring tests have failed, so no agent starts."""
    kmsg, agent = tmp_path / "kmsg", tmp_path / "agent"
    agent.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 7\n")
    for name, text in (("dmesg", f"echo '{log}'"), ("modprobe", "true")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
    script = tmp_path / "loader"
    script.write_text(modules.loader("amdgpu", agent).decode().replace("/dev/kmsg", str(kmsg)))
    for path in (agent, script, tmp_path / "dmesg", tmp_path / "modprobe"):
        path.chmod(0o755)
    done = subprocess.run([script], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False)
    assert (done.returncode, (tmp_path / "started").exists()) == (status, started)
    assert said in (kmsg.read_text() if kmsg.exists() else "")


# --- Options.

@pytest.mark.parametrize("words, message", [
    ("--vram 5M", "--vram 5M is no power of two from 16M to 16G"), ("--sede 3", "unknown option '--sede'"), ("--seed", "--seed needs a value"),
    ("--log x", "the lab itself gives --log"), ("--seed '3", "No closing quotation"),
])
def test_a_wrong_option_ends_the_run_before_it_begins(softgpu, words, message, tmp_path):
    done = faultline("run", "-t", "lab:amdgpu", "--lab-gpu", words, "--json", tmp_path / "j", SCENARIOS / "fork")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_modules_that_are_wrong_end_the_run_before_it_begins(softgpu, amdgpu, tmp_path):
    def run(*words):
        done = faultline("run", "-t", "lab:amdgpu", *words, "--json", tmp_path / "j", SCENARIOS / "fork")
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr

    assert "there is no amdgpu.ko in it or below" in run("--lab-modules", tmp_path)
    other = tmp_path / "other"
    shutil.copytree(amdgpu / "modules", other)
    for module in other.rglob("*.ko"):
        module.write_bytes(module.read_bytes().replace(b"vermagic=6.1.", b"vermagic=6.0."))
    said = run("--lab-modules", other, "--lab-kernel", amdgpu / "bzImage")
    assert "they are for Linux 6.0." in said and "Give --kernel and --modules of one build" in said


def test_words_that_are_right():
    assert softgpu_lab.words_of("--vram 16M  --seed '5'") == ["--vram", "16M", "--seed", "5"]
    with pytest.raises(LabError, match="the lab itself gives --socket"):
        softgpu_lab.words_of("--socket x")


# --- A kernel and modules of one's own, in weather, with the least VRAM.

def test_migrations_on_ones_own_driver_with_little_vram(qemu, amdgpu, softgpu, tmp_path):
    own = tmp_path / "linux"  # as a developer has it: the image here, the module somewhere below
    shutil.copytree(amdgpu / "modules", own / "drivers")
    shutil.copy(amdgpu / "bzImage", own / "bzImage")
    done = faultline("run", "-t", "lab:amdgpu", *NO_LOCK_CYCLE, "--lab-kernel", own / "bzImage", "--lab-modules", own, "--seed", "5",
                     "--lab-gpu", "--vram 16M", "--iterations", "3", "--json", tmp_path / "j", SCENARIOS / "migration")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.startswith("Seed 5\nGPU in software: --seed 5 --vram 16M\n")
    assert done.stdout.count(" agree (lab:amdgpu, Linux 6.1.") >= 7
    log = (tmp_path / "j.lab-gpu-1.console.gpu").read_text()
    assert re.match(r"\d+\.\d{3} clock \d+\.\d{3} seed 5 vram 16M\n", log)
    assert re.search(r"end refused 0 reads \d+ writes \d+ doorbells \d+ most read: ", log.splitlines()[-1])
    assert "HMM registered 16MB device memory" in (tmp_path / "j.lab-gpu-1.console").read_text()


@pytest.fixture(scope="session")
def overcommit(tmp_path_factory):
    program = tmp_path_factory.mktemp("overcommit") / "overcommit"
    subprocess.run(["gcc", "-O1", "-static", "-pthread", "-I", ROOT / "drm_glue/uapi", "-I", "/usr/include/libdrm", "-o", program,
                    HERE / "lab.d/overcommit.c"], check=True)
    return program


def test_more_memory_than_the_gpu_has(qemu, amdgpu, softgpu, overcommit, tmp_path):
    """Two processes of 24 MiB: with 16 MiB of VRAM pages are evicted, with 256 none, and all of them stay right."""
    for vram, evicts in ("16M", True), ("256M", False):
        done = lab("exec", "--softgpu", softgpu, "--softgpu-options", f"--vram {vram} --seed 3", "--append", "lockdep.prove_locking=0",
                   "--file", f"{overcommit}:overcommit", "--console", tmp_path / "c", "--", "sh", "-c", "modprobe amdgpu; /overcommit 24")
        told = re.findall(r"(\w+): asked 12 refused 0 moved (\d+) evicted (\d+) most \d+ KiB wrong 0\n", done.stdout)
        assert done.returncode == 0 and len(told) == 2, done.stdout + done.stderr
        assert all(int(moved) > 0 for _, moved, _ in told)
        assert any(int(evicted) > 0 for _, _, evicted in told) == evicts, told


def health_lines(console):
    """By the words of harness/health_lines.h."""
    header = (ROOT / "harness/health_lines.h").read_text()
    words = re.findall(r'^    "(.+?)",', header[header.index("health_words"):], re.MULTILINE)
    assert "WARNING:" in words
    return [line for line in console.read_text(errors="replace").splitlines() if any(word in line for word in words)]


def changing(softgpu, overcommit, console, append="", words=()):  # pylint: disable=redefined-outer-name
    """20 MiB on a GPU of 16 while mappings change: pages that are wrong, evictions, the exit status."""
    done = lab("exec", "--softgpu", softgpu, "--softgpu-options", "--vram 16M --seed 3", *words, "--append",
               f"lockdep.prove_locking=0 {append}", "--file", f"{overcommit}:overcommit", "--console", console, "--", "sh", "-c",
               "modprobe amdgpu; /overcommit 20 40")
    told = re.search(r"changing: asked \d+ refused \d+ moved \d+ evicted (\d+) most \d+ KiB wrong (\d+)\n", done.stdout)
    assert told, done.stdout + done.stderr
    return int(told[2]), int(told[1]), done.returncode


def test_overcommit_while_mappings_change(qemu, amdgpu, softgpu, overcommit, tmp_path):
    """One thread prefetches, another one maps, unmaps, stores and reads: chunks evict each other, and all pages stay right."""
    wrong, evicted, status = changing(softgpu, overcommit, tmp_path / "c")
    assert (wrong, status) == (0, 0) and evicted > 0
    assert health_lines(tmp_path / "c") == []


def test_a_driver_that_loses_pages_is_seen_while_mappings_change(qemu, softgpu, overcommit, tmp_path):
    folder = driver_build.cached(sources.find(None), None)
    if not folder:
        pytest.skip("amdgpu with bugs is not built: ci/lab build --amdgpu-mutants")
    kernel = ["--kernel", f"{folder}/bzImage", "--modules", f"{folder}/modules"]
    wrong, _, status = changing(softgpu, overcommit, tmp_path / "c", "amdgpu.faultline_mutant=14", kernel)
    assert wrong > 0 and status == 1


# --- What goes wrong.

def gpu_of(log):
    """The process of the GPU that writes this log."""
    for _ in range(600):
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if str(log).encode() in (words := entry.read_bytes().split(b"\0")) and words[0].endswith(b"/softgpu"):
                    return int(entry.parent.name)
            except OSError:
                pass  # it has ended
        time.sleep(0.1)
    raise AssertionError(f"nobody writes {log}")


def test_a_gpu_that_dies_is_a_machine_that_is_lost(qemu, amdgpu, softgpu, tmp_path):
    with subprocess.Popen([ROOT / "build/faultline", "run", "-t", "lab:amdgpu", *NO_LOCK_CYCLE, "--seed", "5", "--iterations", "60",
                           "--json", tmp_path / "j", SCENARIOS / "migration/zero-pages.scn", SCENARIOS / "fork/device-store-order.scn"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        victim = gpu_of(tmp_path / "j.lab-gpu-1.console.gpu")
        for _ in range(1200):
            if records(tmp_path / "j", "batch"):
                break
            time.sleep(0.05)
        os.kill(victim, signal.SIGSEGV)
        said = run.communicate(timeout=300)[0]
    assert run.returncode == 1
    lost = records(tmp_path / "j", "lost")
    assert len(lost) == 1 and "the software GPU ended, killed by SIGSEGV" in lost[0]["why"]
    verdicts = [each["verdict"] for each in records(tmp_path / "j", "verdict")]
    assert sorted(verdicts) == ["agree", "lost"], said
    assert "Machines lost: 1; the run went on with a new one" in said and "The GPU in software, until about then (" in said
    assert 1 <= len(records(tmp_path / "j", "gpu_log")[0]["lines"]) <= 40
    assert len([each for each in records(tmp_path / "j", "machine") if each["event"] == "hello"]) == 2


def test_a_driver_that_does_not_probe_is_told_by_its_words(qemu, amdgpu, softgpu, tmp_path):
    done = faultline("run", "-t", "lab:amdgpu", "--lab-append", "amdgpu.vramlimit=1", "--iterations", "1", "--json", tmp_path / "j",
                     SCENARIOS / "migration/zero-pages.scn")
    assert done.returncode == 3
    assert "amdgpu: probe of 0000:" in done.stdout and "lab: amdgpu drives no device" in done.stdout
    assert "the target is not there: no GPU of amdgpu here" in done.stdout and f"({tmp_path}/j.lab-gpu-1.console.gpu)" in done.stdout


def test_a_qemu_that_does_not_start(qemu, amdgpu, softgpu, tmp_path):
    done = lab("exec", "--softgpu", softgpu, "--qemu", "-device nonsense", "--console", tmp_path / "c", "--", "true")
    assert done.returncode == 1
    assert "'nonsense' is not a valid device" in done.stderr
    assert "QEMU failed with status 1, before its machine ran: its own words are above" in done.stderr


# --- Debian's own kernel.

def module(folder, name, needs="", display=False):
    (folder / f"{name}.ko").write_bytes(f"\x7fELF..\0depends={needs}\0name={name}\0vermagic=6.1.0-test SMP \0..".encode() +
                                        b"\0dc_create\0" * display)


def test_the_port_comes_before_the_labs_init(tmp_path):
    """Where the kernel has it as modules, as Debian's own does; and its driver has display code."""
    module(tmp_path, "amdgpu", display=True)
    for name, needs in ("virtio", ""), ("virtio_ring", ""), ("virtio_pci", "virtio,virtio_ring"), ("virtio_console", "virtio"):
        module(tmp_path, name, needs)
    files = modules.guest_files(str(tmp_path), "amdgpu", "6.1.0-test")
    loaded = re.findall(r"insmod /lib/modules/6.1.0-test/(\w+).ko", files["init"][0].decode())
    assert sorted(loaded) == ["virtio", "virtio_console", "virtio_pci", "virtio_ring"]
    assert loaded.index("virtio_pci") > max(loaded.index("virtio"), loaded.index("virtio_ring"))
    assert files["init"][0].endswith(b'exec /lab-init "$@"\n') and files["lab-init"][0] == (HERE / "lab.d/init").read_bytes()
    assert b"ip_block_mask=0xc7 " in files["etc/modprobe.d/amdgpu.conf"][0]
    (tmp_path / "virtio_pci.ko").unlink()
    (tmp_path / "virtio_console.ko").unlink()
    module(tmp_path, "amdgpu")
    files = modules.guest_files(str(tmp_path), "amdgpu", "6.1.0-test")
    assert "init" not in files and b"ip_block_mask=0x67 " in files["etc/modprobe.d/amdgpu.conf"][0]


def test_a_stock_kernel_that_is_not_fetched_is_said(tmp_path):
    done = lab("stock", "--path", env={**os.environ, "FAULTLINE_CACHE": str(tmp_path)})
    assert done.returncode == 3 and "Fetch it: ci/lab stock" in done.stderr


def test_debians_own_kernel_and_driver(qemu, softgpu, tmp_path):
    try:
        folder = pathlib.Path(stock.present())
    except LabError as e:
        pytest.skip(str(e))
    done = faultline("run", "-t", "lab:amdgpu", "--lab-kernel", folder / "bzImage", "--lab-modules", folder / "modules", "--iterations", "3",
                     "--json", tmp_path / "j", SCENARIOS / "fork")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert len(re.findall(r" agree \(lab:amdgpu, Linux 6\.\S+-amd64, .* SDMA copies, without SVM", done.stdout)) >= 10
