"""The busy processes run while the command runs, and end with it."""

import os
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).resolve().parent / "beside_load.py"
SIBLINGS = ("import os, sys\nparent = os.getppid()\n"
            "print(open(f'/proc/{parent}/task/{parent}/children').read())\nsys.exit(5)")


def test_they_end_with_the_command():
    done = subprocess.run([SCRIPT, "3", sys.executable, "-c", SIBLINGS], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    siblings = done.stdout.split()
    assert len(siblings) == 4  # three, and the command itself
    assert not [pid for pid in siblings if os.path.exists(f"/proc/{pid}")]


def test_bad_usage():
    assert subprocess.run([SCRIPT, "many", "true"], capture_output=True, check=False).returncode == 2
