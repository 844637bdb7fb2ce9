"""Shared by the tests of the command line: scenarios, calls of faultline with the fake agent, its journal."""

import json
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAULTLINE = pathlib.Path(os.environ.get("FAULTLINE_BUILD", ROOT / "build")) / "faultline"
FAKE = f"/usr/bin/python3 {ROOT}/harness/run/fake_agent.py"

ONE = """scenario one
  "A load gives what is there."
process P
  a: 1 pages anon rw = 7
  r0 = load a[0]
always P:r0 = 7
"""


def environment(agent):
    own = {key: value for key, value in os.environ.items() if not key.startswith("FAULTLINE_")}
    return own | {"FAULTLINE_AGENT": agent, "FAULTLINE_LAB": agent}


def faultline(folder, *words, agent=FAKE, timeout=60, **variables):
    return subprocess.run([FAULTLINE, *words], cwd=folder, env=environment(agent) | variables, capture_output=True,
                          text=True, timeout=timeout, check=False)


def journal(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def tried(command):
    return f"Try 'faultline{command} --help'.\n"


def start(folder, *words, agent):
    return subprocess.Popen([FAULTLINE, *words], cwd=folder, env=environment(agent), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def wait_for(path, event, times=1):
    for _ in range(2400):
        if path.exists() and path.read_text().count(f'"ev":"{event}"') >= times:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} has not {times} {event}")
