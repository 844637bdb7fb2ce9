"""Each example shows its planted bug, and a healthy kernel shows none. FAULTLINE_EXAMPLE_KERNELS: where hang-bzImage and leak-bzImage are."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "ci/lab.d"))

import source as sources  # noqa: E402

# example: the bug's number, the iterations that show it, its verdict, and a line of the report.
PLANTED = {
    "forbidden": (17, 20, "forbidden", "P.cpu:#3.faults  seen hit, allowed fault"),
    "location": (31, 20, "forbidden", "where(P:a[0])  seen system, allowed device"),
    "health": (26, 5000, "health", "| pagealloc: memory corruption"),
}
PATCHED = {"hang": "mm/mmu_notifier.c", "leak": "lib/test_hmm.c"}
SCENARIOS = sorted(HERE.glob("*.scn"))


def faultline(folder, *words):
    return subprocess.run([ROOT / "build/faultline", *map(str, words), "--json", folder / "j.jsonl"], cwd=folder, capture_output=True,
                          text=True, timeout=550, check=False)


def run(folder, *words):
    return faultline(folder, "run", "-t", "lab:dmirror", "--seed", 1, "--stop-at-first", *words)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_shows(tmp_path, lab_kernel, name):
    number, iterations, verdict, line = PLANTED[name]
    done = run(tmp_path, "--lab-kernel", lab_kernel("--mutants"), "--lab-append", f"faultline_mutant={number}", "--iterations",
               iterations, HERE / f"{name}.scn")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(rf"^Verdict \S+ {verdict} \(lab:dmirror", done.stdout, re.M) and line in done.stdout, done.stdout


def test_a_healthy_kernel_shows_none(tmp_path, lab_kernel):
    lab_kernel()
    done = run(tmp_path, "--iterations", 200, *SCENARIOS)
    assert done.returncode == 0 and done.stdout.count(" agree (lab:dmirror") == len(SCENARIOS) == 4, done.stdout + done.stderr


def test_the_outputs_are_of_these_examples():
    """Each has its output on the broken kernel and on the healthy one."""
    for name in [*PLANTED, *PATCHED]:
        broken, healthy = (HERE / f"{name}.txt").read_text().split("\n\n$ ")
        assert "Exit 1: something was found" in broken and healthy.endswith("Exit 0: all agree\n")
        if name in PLANTED:
            assert f"faultline_mutant={PLANTED[name][0]} stress/examples/{name}.scn" in broken and PLANTED[name][3] in broken
            assert f" {PLANTED[name][2]} (lab:dmirror" in broken


@pytest.mark.parametrize("name", PATCHED)
def test_each_patch_fits_the_source(tmp_path, name):
    subprocess.run(["tar", "-xf", sources.find(None).path, "-C", tmp_path, "--strip-components=1", "--occurrence=1", "--wildcards",
                    f"*/{PATCHED[name]}"], check=True)
    file = tmp_path / PATCHED[name]
    before = file.read_text()
    apply = ["git", "apply", HERE / f"{name}.patch"]
    subprocess.run(apply, cwd=tmp_path, check=True)
    assert file.read_text() != before
    assert subprocess.run(apply, cwd=tmp_path, capture_output=True, check=False).returncode != 0, "it is there already"


@pytest.fixture
def kernel():
    folder = os.environ.get("FAULTLINE_EXAMPLE_KERNELS")
    if not folder:
        pytest.skip("no kernels with the patches of stress/examples: FAULTLINE_EXAMPLE_KERNELS")
    return lambda name: pathlib.Path(folder) / f"{name}-bzImage"


def test_the_hang_shows(tmp_path, kernel):
    done = run(tmp_path, "--lab-kernel", kernel("hang"), "--iterations", 2000, HERE / "hang.scn")
    assert done.returncode == 1 and " hang (lab:dmirror" in done.stdout, done.stdout + done.stderr
    assert "mmu_interval_read_begin" in done.stdout


def test_the_leak_shows(tmp_path, kernel):
    words = ["storm", "fault", "-t", "lab:dmirror", "--time", 120, "--threads", 8, "--seed", 1]
    done = faultline(tmp_path, *words, "--lab-kernel", kernel("leak"))
    assert done.returncode == 1 and "LEAKS: a trend" in done.stdout, done.stdout + done.stderr
