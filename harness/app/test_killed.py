"""kill -9 at random moments of real runs: each line of the journal reads, and after a second nothing is left behind.

FAULTLINE_KILLS sets how many kills each target gets, FAULTLINE_SEED the moments.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import time
import uuid

import pytest

from command_line import FAULTLINE, ROOT

KILLS = int(os.environ.get("FAULTLINE_KILLS", "3"))
SEED = int(os.environ.get("FAULTLINE_SEED", "1"))
MARK = "FAULTLINE_TEST_MARK"
TRACING = pathlib.Path("/sys/kernel/tracing/instances")


def marked(mark):
    """The live processes that a run with this mark in its environment has started, by pid."""
    found = {}
    for folder in pathlib.Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found


def gone_in(seconds, mark):
    """What is left after this time. Nothing left is seen twice: a process that execs has no environment for a moment."""
    until = time.monotonic() + seconds
    while True:
        left = marked(mark)
        if not left:
            time.sleep(0.02)
            left = marked(mark)
        if not left or time.monotonic() >= until:
            return left
        time.sleep(0.02)


def bad_lines(path):
    """The lines that do not read. The last one may be half a line."""
    bad = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(keepends=True) if path.exists() else []):
        try:
            json.loads(line)
        except json.JSONDecodeError:
            if line.endswith("\n"):
                bad.append((number + 1, line))
    return bad


def kill_one(folder, target, seconds, victim):
    mark, path = str(uuid.uuid4()), folder / "j.jsonl"
    temporary = folder / "tmp"
    temporary.mkdir()
    run = subprocess.Popen([FAULTLINE, "run", "-t", target, "--time", "600", "--json", path, ROOT / "stress/scenarios"],
                           env=os.environ | {MARK: mark, "TMPDIR": str(temporary)}, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, start_new_session=True)
    time.sleep(seconds)
    assert run.poll() is None, f"it ended by itself, with status {run.returncode}"
    if victim == "qemu":
        for pid in [pid for pid, command in marked(mark).items() if "qemu-system" in command.split(" ")[0]]:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        assert run.poll() is None, "the run did not survive its machine"
    run.kill()
    run.wait()
    # A process that is in the kernel dies when its system call ends: on a busy machine that may take more than a second.
    left = gone_in(1 if os.getloadavg()[0] < os.cpu_count() else 20, mark)
    assert not left, left
    assert not bad_lines(path)
    return list(temporary.iterdir())


@pytest.mark.parametrize("target, longest, victims", [("host", 3, ["run"]), ("opencl", 4, ["run"]), ("lab:dmirror", 12, ["run", "qemu"])])
def test_killed_at_any_moment(tmp_path, target, longest, victims):
    if target.startswith("lab:") and subprocess.run([ROOT / "ci/lab", "path"], capture_output=True, check=False).returncode:
        pytest.skip("the lab kernel is not built: ci/lab build")
    chance = random.Random(SEED)
    before = set(TRACING.glob("faultline*")) if TRACING.exists() else set()
    for number in range(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        seconds, victim = chance.uniform(0.02, longest), chance.choice(victims)
        left = kill_one(folder, target, seconds, victim)
        assert not left, f"kill {number} after {seconds:.2f} s left {left}"
    assert not (set(TRACING.glob("faultline*")) if TRACING.exists() else set()) - before


def test_targets_leaves_no_folder(tmp_path):
    seen = False
    for seconds in (0.02, 0.1, 0.2, 0.4):
        command = subprocess.Popen([FAULTLINE, "targets"], env=os.environ | {"TMPDIR": str(tmp_path)},
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            seen = seen or any(tmp_path.iterdir())
        command.kill()
        command.wait()
    assert seen, "none was made"
    until = time.monotonic() + 60
    while (left := list(tmp_path.iterdir())) and time.monotonic() < until:
        time.sleep(0.02)
    assert not left


def test_what_is_left_is_seen(tmp_path):
    mark = str(uuid.uuid4())
    sleeper = subprocess.Popen(["sleep", "60"], env=os.environ | {MARK: mark})
    while not marked(mark):  # exec closes the pipe that Popen waits for before the new environment can be read
        time.sleep(0.001)
    assert list(gone_in(0.1, mark)) == [sleeper.pid]
    sleeper.kill()
    sleeper.wait()
    assert not gone_in(5, mark)
    (tmp_path / "j").write_text('{"ev": "run"}\n{"ev": "ba\n{"ev": "ba')
    assert bad_lines(tmp_path / "j") == [(2, '{"ev": "ba\n')]
