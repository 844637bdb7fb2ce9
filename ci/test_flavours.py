"""Tests of the flavours of the lab kernel. None is built here: what needs one is skipped where it is not cached."""

import os
import pathlib
import shlex
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "lab.d"))

import build as lab_build  # noqa: E402
import driver_build  # noqa: E402
import flavours  # noqa: E402
import source as sources  # noqa: E402
from common import LabError  # noqa: E402

SCENARIO = """\
scenario one
  device d: recoverable
  process P
    a: 1 page anon rw = 1
  thread P.t
    store a[0] 2 via d
    r0 = load a[0]
  always P:r0 = 2
"""


def lab(*words, **more):
    return subprocess.run([HERE / "lab", *words], capture_output=True, text=True, timeout=300, check=False, **more)


def faultline(folder, *words, **more):
    (folder / "one.scn").write_text(SCENARIO)
    return subprocess.run([ROOT / "build/faultline", *words, "--json", folder / "journal.jsonl", folder / "one.scn"],
                          capture_output=True, text=True, timeout=600, check=False, env={**os.environ, **more})


@pytest.mark.parametrize("name, hint", [("kasn", "did you mean 'kasan'?"), ("zzz", "there is kasan")])
def test_an_unknown_flavour_is_refused(tmp_path, name, hint):
    done = lab("build", "--flavour", name)
    assert (done.returncode, done.stderr) == (2, f"lab: unknown flavour '{name}'; {hint}\n")
    done = faultline(tmp_path, "run", "-t", "lab:dmirror", "--lab-flavour", name)
    assert (done.returncode, done.stderr) == (2, f"faultline: lab: unknown flavour '{name}'; {hint}\n")


def test_what_is_not_built_is_refused_with_the_command_that_builds_it(tmp_path):
    away = {"FAULTLINE_CACHE": str(tmp_path / "cache")}
    done = lab("path", "--flavour", "kasan", env={**os.environ, **away})
    assert (done.returncode, done.stderr) == (3, "lab: not built yet. Build it: ci/lab build --flavour kasan\n")
    for words in (["run"], ["stress", "--time", "5"]):
        done = faultline(tmp_path, *words, "-t", "lab:dmirror", "--lab-flavour", "kasan", **away)
        assert (done.returncode, done.stderr) == (2, "faultline: lab: not built yet. Build it: ci/lab build --flavour kasan\n")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("words, message", [
    (["-t", "host", "--lab-flavour", "kasan"],
     "faultline: --lab-flavour needs a target in the lab; did you mean '-t lab:host'?\n"),
    (["-t", "lab:amdgpu", "--lab-flavour", "kasan"], "faultline: --lab-flavour has no amdgpu: run lab:amdgpu without it\n"),
    (["-t", "lab:dmirror", "--lab-flavour", "kasan", "--lab-kernel", "/dev/null"],
     "faultline: --lab-flavour chooses a kernel of the lab's own, --lab-kernel one of yours: give one of them\n"),
])
def test_a_flavour_has_its_place(tmp_path, words, message):
    done = faultline(tmp_path, "run", *words)
    assert (done.returncode, done.stderr) == (2, message)


def test_a_flavour_is_in_no_other_key(monkeypatch):
    source = sources.find(None)
    variants = [lab_build.LAB, lab_build.MUTANTS, lab_build.AMDGPU]
    before = [lab_build.key(source, each) for each in variants] + [driver_build.key(source)]
    flavour = lab_build.key(source, "kasan")
    monkeypatch.setitem(lab_build.ADDED, "kasan", lab_build.ADDED[lab_build.AMDGPU])
    assert lab_build.key(source, "kasan") != flavour
    assert [lab_build.key(source, each) for each in variants] + [driver_build.key(source)] == before
    with pytest.raises(LabError):
        flavours.named("amdgpu")


@pytest.fixture(scope="module")
def kasan():
    folder = flavours.cached(sources.find(None), "kasan")
    if not folder:
        pytest.skip("not built: ci/lab build --flavour kasan")
    return pathlib.Path(folder)


def lab_that(folder, does, *files):
    """A lab whose guest does something once a scenario runs: the agent is there twice."""
    (folder / "init").write_text("#!/bin/sh\nexport PATH=/bin\n(\n"
                                 "while [ \"$(pidof agent | wc -w)\" -lt 2 ]; do sleep 0.1; done\n"
                                 f"{does}\n) >/dev/null 2>&1 &\nexec /lab-init \"$@\"\n")
    (folder / "init").chmod(0o755)
    words = [f"--file={each}" for each in (f"{folder}/init:init", f"{HERE}/lab.d/init:lab-init", *files)]
    script = folder / "lab"
    script.write_text(f"#!/bin/sh\nexec {HERE}/lab \"$@\" {shlex.join(words)}\n")
    script.chmod(0o755)
    return {"FAULTLINE_LAB": str(script)}


def test_a_report_of_kasan_is_a_finding(kasan, tmp_path):
    """The module of the kernel's own test copies from user space past the end of an allocation."""
    broken = lab_that(tmp_path, "insmod /kasan_test_module.ko", kasan / "modules/kasan_test_module.ko")
    words = ["run", "-t", "lab:dmirror", "--lab-flavour", "kasan", "--iterations", "3000"]
    done = faultline(tmp_path, *words, "--stop-at-first", **broken)
    assert done.returncode == 1, done.stdout + done.stderr
    found = [line.split(" iterations: ")[1] for line in done.stdout.splitlines() if line.startswith("Found health: one ")]
    assert "KASAN: slab-out-of-bounds in copy_user_test" in found and len(set(found)) == len(found), done.stdout
    assert "--lab-flavour kasan" in done.stdout and "faultline-kasan" in done.stdout


def test_kasan_has_nothing_to_say_of_a_healthy_kernel(kasan, tmp_path):
    done = faultline(tmp_path, "run", "-t", "lab:dmirror", "--lab-flavour", "kasan", "--iterations", "200")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_taint_without_a_line_is_a_finding(tmp_path):
    broken = lab_that(tmp_path, "echo 512 >/proc/sys/kernel/tainted")
    done = faultline(tmp_path, "run", "-t", "lab:dmirror", "--iterations", "3000", "--stop-at-first", **broken)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the kernel became tainted, and no report of its log tells why: W (a warning)" in done.stdout
