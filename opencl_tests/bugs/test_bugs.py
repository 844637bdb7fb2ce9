"""The reproducers build as plain C, and each shows its bug on the drivers that svm_known_bugs.py lists for it."""

import pathlib
import re
import subprocess
import sys

import pytest

BUGS = pathlib.Path(__file__).parent
sys.path.insert(0, str(BUGS.parent / "suite"))

import svm_known_bugs  # noqa: E402

REPRODUCERS = sorted(file.stem for file in BUGS.glob("*.c"))


@pytest.mark.parametrize("name", REPRODUCERS)
def test_reproducer(tmp_path, name):
    flags = ["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-DCL_TARGET_OPENCL_VERSION=300"]
    subprocess.run(["cc", *flags, BUGS / f"{name}.c", "-o", tmp_path / name, "-lOpenCL"], check=True)
    run = subprocess.run([tmp_path / name], capture_output=True, text=True, timeout=60)
    driver = re.match(r"(.*), driver (\S+)", run.stdout)
    if run.returncode == 2 or not driver:
        pytest.skip(run.stdout.strip() or "no OpenCL device")
    kind = "pocl-0" if re.match("cpu|pthread", driver.group(1)) else "rusticl-0" if "llvmpipe" in driver.group(1) else ""
    mine = [bug for bug in svm_known_bugs.BUGS if bug.reproducer == f"{name}.c" and re.fullmatch(bug.devices, kind) and
            re.fullmatch(bug.drivers, driver.group(2))]
    assert (run.returncode != 0) == bool(mine), run.stdout
    if run.returncode < 0:  # a signal: a crash, or SIGALRM because a call does not return
        assert any(bug.crash or bug.hang for bug in mine), run.returncode


def test_each_is_of_a_known_bug():
    assert {bug.reproducer for bug in svm_known_bugs.BUGS} == {f"{name}.c" for name in REPRODUCERS}
