"""The whole bench runs scenarios on mocked GPUs, with the SDMA engine and the driver's own calls. A correct GPU agrees with
the predictions, and a faulty one does not."""

import errno
import pathlib
import re

import pytest

import device
import machines
from machines import NODE

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "stress/scenarios"
NOUVEAU = "nouveau:0000:01:00.0"
ON, OFF = "amdgpu:0000:03:00.0/xnack-on", "amdgpu:0000:03:00.0/xnack-off"


def run(machine, target, *scenarios, iterations=5, environment={}):
    """Returns the exit status, the verdicts by scenario, and the output."""
    results = machine.file("/results/report.json")
    command = [str(device.BUILD / "faultline"), "run", "-t", target, "--seed", "1", "--iterations", str(iterations),
               "--json", str(results), *(str(SCENARIOS / each) for each in scenarios)]
    done = device.run(machine.testbed, command, timeout=240, environment=environment)
    text = done.stdout + done.stderr
    verdicts = dict(re.findall(r"^Verdict (\S+) (\S+) \(", done.stdout, re.M))
    assert not [asked for each in machine.devices.values() for asked in each.asked if asked[0] == "bug of the mock"]
    return done.returncode, verdicts, text


def test_a_fault_that_nobody_can_resolve():
    """On ranges, such a fault would stop the process's queues for good. Scenarios that may cause one are skipped."""
    status, verdicts, text = run(machines.working_amdgpu(), ON + "/svm", "mapping/munmap-then-access.scn", "mapping/protect-none.scn")
    assert status == 3 and set(verdicts.values()) == {"skipped"} and text.count("that is a VM fault") >= 2, text


def test_user_queues_of_another_generation():
    machine = machines.working_amdgpu(target=100300, device=0x73BF, can_xnack=False, gpu={"device": 0x73BF, "family": 143})
    status, verdicts, text = run(machine, OFF + "/svm", "migration/munmap.scn")
    assert status == 2 and "the packets of user queues are written for gfx9 only" in text, text


@pytest.mark.parametrize("fault, scenario", [("stale", "mapping/munmap-then-access.scn"), ("stale", "mapping/dontneed-device-load.scn"),
                                             ("wrong page", "mapping/munmap-neighbour.scn"), ("wrong page", "fork/device-write-after.scn")])
def test_a_gpu_that_does_wrong(fault, scenario):
    status, verdicts, text = run(machines.working_amdgpu(fault), ON, scenario, iterations=20)
    assert status == 1 and list(verdicts.values()) == ["forbidden"], text
    status, verdicts, text = run(machines.working_amdgpu(), ON, scenario, iterations=20)
    assert status == 0 and list(verdicts.values()) == ["agree"], text


def test_a_gpu_that_is_reset():
    """The run reports the lost jobs and the engine's reset, and goes on."""
    machine = machines.working_amdgpu()
    machine.devices[NODE].reset_at = 8
    status, verdicts, text = run(machine, ON, "mapping/munmap-neighbour.scn", "mapping/hole.scn")
    assert status == 1 and verdicts == {"munmap-neighbour": "forbidden", "hole": "agree"}, text
    assert "amdgpu_cs_submit_raw2: ECANCELED (reset, VRAM lost)" in text
    assert re.search(r"^ +4 +:> ", text, re.M), text


def test_a_gpu_that_is_gone():
    """The scenario that needs the GPU ends with the driver's message. Earlier results stay."""
    machine = machines.working_amdgpu()
    machine.devices[NODE].gone_at = 8
    status, verdicts, text = run(machine, ON, "mapping/munmap-neighbour.scn", "races/unmap-and-map-again.scn")
    assert status == 4 and set(verdicts.values()) == {"error"}, text
    assert "the device is gone" in text and re.search(r"^ +2 +:> ", text, re.M), text
    assert "amdgpu_device_initialize: ENODEV" in text


@pytest.mark.parametrize("target, machine, request_number, scenario, function", [
    (ON, machines.working_amdgpu, "0x44", "mapping/munmap-neighbour.scn", "amdgpu_cs_submit_raw2"),
    (NOUVEAU, machines.nouveau, "0x49", "migration/munmap.scn", "DRM_NOUVEAU_SVM_BIND")])
def test_a_library_that_crashes(target, machine, request_number, scenario, function):
    """A crash in libdrm is a finding about libdrm, not a result of the access."""
    status, verdicts, text = run(machine(), target, scenario, environment={"FAULTLINE_CRASH_IN_REQUEST": request_number})
    assert status == 1 and list(verdicts.values()) == ["health"], text
    assert re.search(rf"iteration 0 \(seed 1\): the driver took SIGSEGV in {function}, called by P\.\w+ at \S+ \(line \d+\)", text), text


def test_nouveau():
    """The driver's own requests. The pages of this machine do not show where they migrate to."""
    machine = machines.nouveau()
    status, verdicts, text = run(machine, NOUVEAU, "location", "migration")
    assert status == 0 and set(verdicts.values()) == {"agree", "skipped"}, text
    assert sum(each == "agree" for each in verdicts.values()) >= 3, verdicts
    asked = [each[0] for each in machine.devices[NODE].asked]
    assert "svm_init" in asked and "svm_bind" in asked and machine.devices[NODE].vram


def test_nouveau_with_opencl():
    machine = machines.nouveau()
    status, verdicts, text = run(machine, NOUVEAU + "/opencl", "svm", "migration", environment=machines.pocl_on(1))
    assert status == 0 and set(verdicts.values()) == {"agree", "skipped"}, text
    assert sum(each == "agree" for each in verdicts.values()) >= 20, verdicts
    assert [asked for asked in machine.devices[NODE].asked if asked[0] == "svm_bind"]


@pytest.mark.parametrize("target", [ON, OFF])
def test_amdgpu_with_opencl(target):
    machine = machines.working_amdgpu()
    status, verdicts, text = run(machine, target + "/opencl", "svm", "migration", environment=machines.pocl_on(3))
    assert status == 0 and set(verdicts.values()) == {"agree", "skipped"}, text
    assert sum(each == "agree" for each in verdicts.values()) >= 20, verdicts
    assert [asked for asked in machine.devices["/dev/kfd"].asked if asked[:2] == ("svm", "set")]
    assert not [asked for asked in machine.devices[NODE].asked if asked[0] == "cs"]  # its work is not the SDMA engine's


def test_nouveau_that_refuses():
    """The run reports the request and its error, and no verdict agrees."""
    machine = machines.nouveau()

    def refuse(request):
        raise device.Refused(errno.ENOMEM)

    machine.devices[NODE].handle_d49 = refuse
    status, verdicts, text = run(machine, NOUVEAU, "migration/munmap.scn")
    assert status == 1 and set(verdicts.values()) == {"forbidden"}, text
    assert "DRM_NOUVEAU_SVM_BIND: ENOMEM" in text
