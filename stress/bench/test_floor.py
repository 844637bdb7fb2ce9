"""The bench runs, and notices a floor that does not do what the scenario says."""
import pathlib
import re
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build"
FLOOR, EXECUTOR = BUILD / "floor", BUILD / "executor-loop"
ROW = re.compile(r"^(\S+) +(host|lab:dmirror) +\d+ +\d+ +\d+ +\d+\.\d\d +\d+\.\d\d$", re.M)
needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="needs strace (ci/setup)")


def bench(*arguments, floor=FLOOR):
    return subprocess.run([HERE / "bench.py", "--floor", floor, "--executor", EXECUTOR, "--rounds", "1", "--iterations", "40",
                           "--lab-iterations", "5", *arguments], capture_output=True, text=True, timeout=600)


def test_table():
    done = bench("--host", "races/dontneed-stale-load fork/late-cpu-store", "--lab", "", "--calls", "")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row[0] for row in ROW.findall(done.stdout)] == ["races/dontneed-stale-load", "fork/late-cpu-store"]


def test_lab():
    done = bench("--host", "", "--calls", "")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row[1] for row in ROW.findall(done.stdout)] == ["lab:dmirror"] * 2


@needs_strace
@pytest.mark.parametrize("scenario", ["races/dontneed-stale-load", "races/unmap-and-map-again", "fork/late-cpu-store"])
def test_calls_are_equal_or_explained(scenario):
    done = bench("--host", "", "--lab", "", "--calls", scenario)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^  munmap +[12]\.00 +[12]\.00$", done.stdout, re.M), done.stdout


@needs_strace
def test_a_floor_that_leaves_a_call_out_is_noticed(tmp_path):
    text = (HERE / "floor.c").read_text()
    left_out = "static void dontneed_drop(void) { madvise(a, page, MADV_DONTNEED); }"
    assert left_out in text
    (tmp_path / "wrong.c").write_text(text.replace(left_out, "static void dontneed_drop(void) {}"))
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-O2", "-static", "-o", tmp_path / "wrong", tmp_path / "wrong.c"], check=True)
    done = bench("--host", "", "--lab", "", "--calls", "races/dontneed-stale-load", floor=tmp_path / "wrong")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^  madvise .*THEY DIFFER$", done.stdout, re.M)


# The values that the last iteration loaded, as the scenarios' claims have them. 255: a signal, 0: zero.
@pytest.mark.parametrize("name, allowed", [
    ("unmap-and-map-again", lambda g0, g1, *end: end[-1] == 6 and (g0 != 6 or g1 == 6) and {g0, g1} <= {0, 5, 6, 255}),
    ("dontneed-stale-load", lambda r0, g0, *end: g0 != 5 and end[-1] in (0, 6) and r0 in (0, 5, 6)),
    ("late-cpu-store", lambda r0, r1, a0, a1, p0, p1, *_: p0 in (1, 3) and p1 == 2 and a0 != 3 and (a1 != 2 or a0 == 1)),
    ("device-store-order", lambda r1, r0, *_: {r0, r1} <= {0, 1} and (r1 == 0 or r0 == 1)),
    ("dontneed-device-load", lambda g0, g1, g2, r0, *_: (g0, g1, g2, r0) == (5, 5, 0, 6)),
])
def test_values(name, allowed):
    for iterations in (1, 2, 3, 50, 200):
        done = subprocess.run([FLOOR, name, str(iterations)], capture_output=True, text=True, timeout=60, check=True)
        values = [int(word) for word in done.stdout.split(" values ")[1].split()]
        assert allowed(*values), done.stdout


def test_bad_usage():
    for words in ([], ["no-such"], ["late-cpu-store", "0"]):
        assert subprocess.run([FLOOR, *words], capture_output=True).returncode == 2
        assert subprocess.run([EXECUTOR, *words], capture_output=True).returncode == 2
    assert bench("--rounds", "0").returncode == 2
    assert bench("--host", "races/no-such", "--lab", "", "--calls", "").returncode == 4
