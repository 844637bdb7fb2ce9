"""What tests of several folders below need."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def lab_kernel():
    """lab_kernel("--mutants"): the bzImage of that kernel of the lab. Skips the test if it is not built, or there is no QEMU."""
    def path(*words):
        done = subprocess.run([ROOT / "ci/lab", "path", *words], capture_output=True, text=True, check=False)
        if done.returncode or not shutil.which("qemu-system-x86_64"):
            pytest.skip(f"the lab kernel is not built: ci/lab build {' '.join(words)}")
        return pathlib.Path(done.stdout.strip()) / "bzImage"
    return path
