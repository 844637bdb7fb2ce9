"""Records on a mocked machine, and makes a machine that replays."""

import json
import os
import pathlib

import device
import recorded
from replay import ReplayMachine

FAULTLINE = str(device.BUILD / "faultline")
RECORDER = f"{device.BUILD}/faultline-record.so"
SCENARIO = str(pathlib.Path(__file__).resolve().parents[2] / "stress/scenarios/mapping/munmap-neighbour.scn")
HERE = {"FAULTLINE_AGENT": "false", "FAULTLINE_LAB": "false"}  # only GPUs matter: do not start these
TARGETS = ("targets", "--json", SCENARIO)
if device.BUILD.name == "asan":  # the recorder is in front of its runtime
    os.environ["ASAN_OPTIONS"] = "verify_asan_link_order=0"


def preloaded(trace):
    return {"LD_PRELOAD": f"{RECORDER}:{device.PRELOADED}", "FAULTLINE_TRACE": str(trace)}


def record(machine, trace, *words, **options):
    return machine.run([FAULTLINE, "record", str(trace), "--", *words], environment=HERE, **options).stdout


def record_requests(machine, trace, program, *script):
    """A trace of one of our programs, after the description of its machine."""
    if not trace.exists():
        record(machine, trace, "targets", "--help")
    done = machine.run([str(device.BUILD / program)], "\n".join(script) + "\n", environment=preloaded(trace))
    return done.stdout.splitlines()


def lines(trace):
    return [json.loads(line) for line in trace.read_text().splitlines()]


def asks(trace):
    return [line for line in lines(trace) if line["ev"] == "ask"]


class Replay:
    def __init__(self, trace):
        self.machine = ReplayMachine(recorded.read(str(trace)))

    def run(self, *words, **options):
        return device.run(self.machine.testbed, [FAULTLINE, *words], environment=HERE, **options)

    def ask(self, program, *script):
        done = device.run(self.machine.testbed, [str(device.BUILD / program)], "\n".join(script) + "\n")
        return done.stdout.splitlines()

    def differences(self):
        return self.machine.finish()
