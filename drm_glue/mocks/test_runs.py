"""The whole bench runs scenarios on mocked GPUs, with the SDMA engine and the driver's own calls. A correct GPU agrees with
the predictions, and a faulty one does not."""

import errno
import pathlib
import re

import pytest

import cpu_faults
import device
import machines
from machines import NODE

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "stress/scenarios"
NOUVEAU = "nouveau:0000:01:00.0"
ON, OFF = "amdgpu:0000:03:00.0/xnack-on", "amdgpu:0000:03:00.0/xnack-off"
RANGES = ON + "/svm"


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


def gpu_of(target, fault=""):
    return machines.with_paging_queue(fault) if target == RANGES else machines.working_amdgpu(fault)


@pytest.mark.parametrize("target, agreeing", [(ON, 75), (OFF, 75), (RANGES, 40)])
def test_a_gpu_that_does_right(target, agreeing):
    machine = gpu_of(target)
    status, verdicts, text = run(machine, target, "fork", "location", "mapping", "migration", "races", "teardown")
    assert status == 0, text
    assert sum(each == "agree" for each in verdicts.values()) >= agreeing, verdicts
    assert set(verdicts.values()) == {"agree", "skipped"}
    assert machine.devices[NODE].vm_faults == []


# Scenarios that need a mock that sees CPU faults.
OF_CPUS = {"cpu-brings-back-range", "fork", "two-touches"}
OF_CPUS_ON_RANGES = {"gpu-fault-cpu-touch"}
EVENTS = sorted(each.stem for each in (SCENARIOS / "driver-events").glob("*.scn"))
blind = cpu_faults.unavailable()
sees = pytest.mark.skipif(blind != "", reason=blind)


@pytest.mark.parametrize("target", [ON, OFF, RANGES])
@pytest.mark.parametrize("names", [[each for each in EVENTS if each not in OF_CPUS | OF_CPUS_ON_RANGES],
                                   pytest.param(sorted(OF_CPUS | OF_CPUS_ON_RANGES), marks=sees)], ids=["", "of CPUs"])
def test_a_driver_that_tells_right(target, names):
    """The events about pages, with recoverable faults and without, are those that the independent reference expects."""
    status, verdicts, text = run(gpu_of(target), target, *(f"driver-events/{each}.scn" for each in names), iterations=10)
    assert status == 0 and set(verdicts.values()) == {"agree"} and len(verdicts) == len(names) > 2, text
    assert "no claim" not in text


@sees
@pytest.mark.parametrize("target", [ON, OFF, RANGES])
def test_pages_are_where_they_went(target):
    status, verdicts, text = run(gpu_of(target), target, "location/there.scn", "location/munmap.scn")
    assert status == 0 and "where(P:a[0])=device" in text and re.search(r"where\(P:a\[1\]\)=none where\(P:a\[2\]\)=device", text), text


@pytest.mark.parametrize("target, missing", [(ON, OF_CPUS), (OFF, OF_CPUS), (RANGES, OF_CPUS | OF_CPUS_ON_RANGES)])
def test_a_mock_that_does_not_see_cpus(target, missing):
    """As if userfaultfd were not permitted: only events that CPUs cause are missing."""
    machine = gpu_of(target)
    machine.devices["/dev/kfd"].cpus.watch = lambda process, descriptor: None
    status, verdicts, text = run(machine, target, "driver-events")
    assert {name.removeprefix("events-") for name, each in verdicts.items() if each == "forbidden"} == missing, text
    assert set(verdicts.values()) == {"agree", "forbidden"} and len(verdicts) == len(EVENTS)


def test_processes_that_are_killed():
    """Processes are killed at any moment. Later ones do not notice."""
    machine = machines.working_amdgpu()
    command = [str(device.BUILD / "faultline"), "run", "-t", ON, "--iterations", "100000"]
    for after in (0.7, 0.9, 1.1, 1.3):
        done = device.run(machine.testbed, [*command, str(SCENARIOS / "driver-events/fork.scn"), "--json",
                                            str(machine.file("/results/killed.json"))], timeout=after)
        assert "killed after" in done.stderr
    status, verdicts, text = run(machine, ON, *(f"driver-events/{each}.scn" for each in ("munmap", "dontneed", "prefetch")))
    assert status == 0 and set(verdicts.values()) == {"agree"}, text


@pytest.mark.parametrize("fault, scenario", [
    ("missed event", "munmap"), ("missed event", "mprotect-preempted"), ("missed event", "fork-preempted"),
    ("wrong location", "prefetch"), ("wrong location", "there-and-back"),
    pytest.param("alone", "fork", marks=sees), pytest.param("empty", "cpu-brings-back-range", marks=sees),
    pytest.param("empty", "two-touches", marks=sees)])
def test_a_driver_that_tells_wrong(fault, scenario):
    target = OFF if "preempted" in scenario else ON
    status, verdicts, text = run(machines.working_amdgpu(fault), target, f"driver-events/{scenario}.scn")
    assert status == 1 and list(verdicts.values()) == ["forbidden"], text


@pytest.mark.parametrize("fault, scenario", [
    ("missed fault", "gpu-fault"), ("missed fault", "gpu-against-mprotect"), ("fault of the neighbour", "gpu-fault"),
    ("missed event", "gpu-fault-mprotect"), ("wrong location", "gpu-fault"), ("stale", "gpu-fault-dontneed"),
    ("stale", "gpu-fault-mprotect")])
def test_faults_that_are_answered_or_told_wrong(fault, scenario):
    status, verdicts, text = run(gpu_of(RANGES, fault), RANGES, f"driver-events/{scenario}.scn")
    assert status == 1 and list(verdicts.values()) == ["forbidden"], text


def test_a_fault_that_nobody_can_resolve():
    """Such a fault would end the job, perhaps the engine. Scenarios that may cause one are skipped."""
    machine = gpu_of(RANGES)
    status, verdicts, text = run(machine, RANGES, "mapping/munmap-then-access.scn", "mapping/protect-none.scn")
    assert status == 3 and set(verdicts.values()) == {"skipped"} and text.count("that is a VM fault") >= 2, text
    assert not [asked for asked in machine.devices[NODE].asked if asked[0] == "cs"]


def test_an_engine_without_a_paging_queue():
    for machine, why in ((machines.working_amdgpu(), "its SDMA engine has no paging queue in Linux"),
                         (machines.with_paging_queue(firmware=122), "would help: 123 or newer")):
        status, verdicts, text = run(machine, RANGES, "migration/munmap.scn")
        assert status == 2 and why in text and not [asked for asked in machine.devices[NODE].asked if asked[0] == "cs"], text


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
