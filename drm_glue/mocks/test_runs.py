"""Scenarios on mocked GPUs by the whole bench: what the SDMA engine and the driver's own calls can do agrees with the
predictions on a GPU that does right, and does not on one that does wrong."""

import json
import re

import pytest

import device
import machines
from machines import NODE

SCENARIOS = device.BUILD.parent / "stress/scenarios"
ON, OFF = "amdgpu:0000:03:00.0/xnack-on", "amdgpu:0000:03:00.0/xnack-off"


def run(machine, target, *scenarios, iterations=5):
    """The exit status, the verdicts by scenario, and what was said."""
    results = machine.file("/results/report.json")
    command = [str(device.BUILD / "faultline"), "run", "-t", target, "--seed", "1", "--iterations", str(iterations),
               "--json", str(results), *(str(SCENARIOS / each) for each in scenarios)]
    done = device.run(machine.testbed, command, timeout=240)
    text = done.stdout + done.stderr
    verdicts = dict(re.findall(r"^Verdict (\S+) (\S+) \(", done.stdout, re.M))
    assert not [asked for each in machine.devices.values() for asked in each.asked if asked[0] == "bug of the mock"]
    return done.returncode, verdicts, text


@pytest.mark.parametrize("target", [ON, OFF])
def test_a_gpu_that_does_right(target):
    machine = machines.working_amdgpu()
    status, verdicts, text = run(machine, target, "fork", "mapping", "races", "teardown")
    assert status == 0, text
    assert sum(each == "agree" for each in verdicts.values()) >= 50, verdicts
    assert set(verdicts.values()) == {"agree", "skipped"}
    assert machine.devices[NODE].vm_faults == []


@pytest.mark.parametrize("fault, scenario", [("stale", "mapping/munmap-then-access.scn"), ("stale", "mapping/dontneed-device-load.scn"),
                                             ("wrong page", "mapping/munmap-neighbour.scn"), ("wrong page", "fork/device-write-after.scn")])
def test_a_gpu_that_does_wrong(fault, scenario):
    status, verdicts, text = run(machines.working_amdgpu(fault), ON, scenario, iterations=20)
    assert status == 1 and list(verdicts.values()) == ["forbidden"], text
    status, verdicts, text = run(machines.working_amdgpu(), ON, scenario, iterations=20)
    assert status == 0 and list(verdicts.values()) == ["agree"], text


def test_a_gpu_that_is_reset():
    """The jobs that it lost are told, with what became of the engine, and the run goes on."""
    machine = machines.working_amdgpu()
    machine.devices[NODE].reset_at = 8
    status, verdicts, text = run(machine, ON, "mapping/munmap-neighbour.scn", "mapping/hole.scn")
    assert status == 1 and verdicts == {"munmap-neighbour": "forbidden", "hole": "agree"}, text
    assert "amdgpu_cs_submit_raw2: ECANCELED (reset, VRAM lost)" in text
    assert re.search(r"^ +4 +:> ", text, re.M), text


def test_a_gpu_that_is_gone():
    """What needs it ends with its words; what was seen before stays."""
    machine = machines.working_amdgpu()
    machine.devices[NODE].gone_at = 8
    status, verdicts, text = run(machine, ON, "mapping/munmap-neighbour.scn", "races/unmap-and-map-again.scn")
    assert status == 4 and set(verdicts.values()) == {"error"}, text
    assert "the device is gone" in text and re.search(r"^ +2 +:> ", text, re.M), text
    assert "amdgpu_device_initialize: ENODEV" in text
