"""The reproducers build as plain C, and show on PoCL 3.1 what they are about."""

import pathlib
import re
import subprocess

import pytest

BUGS = pathlib.Path(__file__).parent
# How each ends where its bug is: by itself with 1, or by a signal.
ENDS = {"svm_fill_null_pattern": -11, "blocking_after_failed_event": -14}


@pytest.mark.parametrize("name", sorted(file.stem for file in BUGS.glob("*.c")))
def test_reproducer(tmp_path, name):
    flags = ["-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror", "-DCL_TARGET_OPENCL_VERSION=300"]
    subprocess.run(["cc", *flags, BUGS / f"{name}.c", "-o", tmp_path / name, "-lOpenCL"], check=True)
    run = subprocess.run([tmp_path / name], capture_output=True, text=True, timeout=60)
    driver = re.match(r".*, driver (\S+)", run.stdout)
    if run.returncode == 2 or not driver:
        pytest.skip(run.stdout.strip() or "no OpenCL device")
    if not driver.group(1).startswith("3."):
        pytest.skip(f"driver {driver.group(1)} is not PoCL 3: its answer is {run.returncode}")
    assert run.returncode == ENDS.get(name, 1), run.stdout
