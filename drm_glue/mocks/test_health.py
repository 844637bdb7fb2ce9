"""The health of GPUs on mocked machines: what the kernel log and sysfs say, and what a run makes of it."""

import fcntl
import json
import os
import pathlib
import shutil
import threading

import pytest

import device
import machines

BUS = "0000:03:00.0"
SYS = f"/sys/devices/pci0000:00/{BUS}"
CLIENTS = "/sys/kernel/debug/dri/0/clients"
GPU = f"GPU {BUS} (amdgpu)"
MIB = 1 << 20
WATCH = f"watch {BUS}"


def sick(machine=None):
    """An amdgpu that nobody else uses, with 100 MiB of VRAM in use."""
    machine = machine or machines.amdgpu()
    machine.file(f"{SYS}/mem_info_vram_used").write_text(f"{100 * MIB}\n")
    machine.file(f"{SYS}/power/runtime_status").write_text("active\n")
    machine.file(f"{SYS}/config").write_bytes(bytes([0x02, 0x10, 0x08, 0x74]))
    machine.file(CLIENTS).write_text(clients())
    return machine


def clients(*others):
    """drm_clients_info()"""
    return f"{'command':>20} {'pid':>5} dev master a   uid      magic\n" + "".join(
        f"{name:>20} {pid:5} {0:3}   y    y {0:5} {0:10}\n" for name, pid in others)


def play(machine, *steps):
    """Makes the requests. "sh" is a shell command that changes the machine; it runs in the machine's folder."""
    root = machine.testbed.get_root_dir()
    steps = [step.replace("sh ", f"sh cd {root} && ", 1) if step.startswith("sh ") else step for step in steps]
    return [answer.removeprefix("ok").strip() for answer in machine.ask(*steps)]


def use(mib):
    return f"sh echo {mib * MIB} >.{SYS}/mem_info_vram_used"


def ended(machine, *changes):
    """What sysfs says after the changes."""
    answers = play(machine, WATCH, *changes, "ended")
    assert not any(answers[:-1])
    return json.loads(answers[-1])


# --- sysfs.

def test_a_healthy_gpu():
    assert ended(sick()) == []
    assert ended(sick(), use(101)) == []  # less than the tolerance


def test_memory_that_nobody_has():
    assert ended(sick(), use(110)) == [[
        f"{GPU} has {10 * MIB} bytes of VRAM in use that belong to nobody: {100 * MIB} before, {110 * MIB} after all had ended"]]


def test_memory_that_is_given_back_late():
    assert ended(sick(), use(110), f"sh (sleep 1; {use(100).removeprefix('sh ')}) >/dev/null 2>&1 &") == []


def test_memory_that_others_have():
    machine = sick()
    machine.file("/others").write_text(clients(("Xorg: a b 1", 812)))
    assert ended(machine, use(110), f"sh cp others .{CLIENTS}") == []
    machine.file("/nobody").write_text(clients())
    assert ended(machine, use(120), f"sh cp nobody .{CLIENTS}") == []  # they had it before
    assert ended(sick(), use(110), f"sh rm .{CLIENTS}") == []  # not known


def test_small_leaks_add_up():
    answers = play(sick(), WATCH, use(101), "ended", WATCH, use(102), "ended", WATCH, "ended")
    assert answers[2] == "[]" and f"has {2 * MIB} bytes" in answers[5]
    assert answers[7] == "[]"  # reported only once


def dump(name):
    return f"sh ln -sfn ../../../virtual/devcoredump/{name} .{SYS}/devcoredump"


def test_a_dump():
    machine = sick()
    assert ended(machine, dump("devcd7")) == [[f"{GPU} left a dump of its state: /sys/class/devcoredump/devcd7/data"]]
    assert ended(machine, dump("devcd7")) == []  # it was there before
    assert ended(machine, dump("devcd8")) != []


def power(state):
    return f"sh echo {state} >.{SYS}/power/runtime_status"


def test_power():
    assert ended(sick(), power("suspended")) == []
    assert ended(sick(), power("error")) == [[f"{GPU} cannot be woken: its power/runtime_status is error"]]


UNPLUG = f"sh rm -r .{SYS} ./sys/bus/pci/devices/{BUS}"
READ_AS_ONES = rf"sh printf '\377\377\377\377' >.{SYS}/config"


@pytest.mark.parametrize("change", [UNPLUG, READ_AS_ONES])
def test_a_gpu_that_is_gone(change):
    answers = play(sick(), WATCH, change, "ended", "ended", WATCH, "watch 0000:04:00.0")
    assert json.loads(answers[2]) == [[f"{GPU} is gone: /sys/bus/pci/devices/{BUS} is not there, or reads as ones"]]
    assert answers[3] == "[]"
    assert answers[4:] == [f"GPU {BUS} is gone: nothing more can be run on it before it is back", ""]


def test_what_sleeps_in_d3cold_is_not_gone():
    """Its config space would read as ones, and the read would wake it."""
    assert ended(sick(), power("suspended"), READ_AS_ONES) == []


# --- The kernel log.

RESET = (f"amdgpu {BUS}: amdgpu: GPU reset begin!", "[drm] VRAM is lost due to GPU reset!", f"amdgpu {BUS}: amdgpu: GPU reset(1) succeeded!")


def reports(machine, *lines, watch=WATCH):
    answers = play(machine, watch, *(f"log {line}" for line in lines), "reports", "words", "reports")
    assert answers[-1] == "[]"
    return json.loads(answers[-3]), json.loads(answers[-2])[0]


def test_a_reset():
    assert reports(sick(), *RESET) == ([[f"{GPU} was reset", *RESET]], [])


def test_a_reset_that_failed():
    line = f"amdgpu {BUS}: amdgpu: GPU reset(1) failed"
    assert reports(sick(), RESET[0], line) == ([[f"{GPU} could not be reset", RESET[0], line]], [])


def test_a_line_that_names_no_gpu():
    hung = "[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx timeout, signaled seq=1, emitted seq=2"
    assert reports(sick(), hung) == ([[f"{GPU} hung", hung]], [])
    assert reports(machines.mixed(), hung) == ([[f"{GPU}, or another of its driver, hung", hung]], [])
    assert reports(machines.nouveau(), hung, watch="watch 0000:01:00.0") == ([], [])


def test_a_refused_access_is_told_but_not_found():
    fault = f"amdgpu {BUS}: amdgpu: [gfxhub0] retry page fault (src_id:0 ring:0 vmid:8 pasid:32769)"
    assert reports(sick(), fault) == ([], [f"{GPU} refused an access: {fault}"])


def test_the_gpu_of_another():
    line = "amdgpu 0000:04:00.0: amdgpu: GPU reset(1) succeeded!"
    assert reports(machines.mixed(), line) == ([], [])
    assert reports(machines.mixed(), line, watch=f"{WATCH} 0000:04:00.0")[0] == [["GPU 0000:04:00.0 (amdgpu) was reset", line]]
    assert reports(sick(), *RESET, watch="watch") == ([], [])  # a target without a GPU


def test_nothing_is_watched():
    assert reports(sick(), *RESET, watch="watch") == ([], [])
    answers = play(sick(), "watch", use(200), UNPLUG, "ended")
    assert answers[-1] == "[]"


# --- A run.

SCENARIOS = pathlib.Path(__file__).resolve().parents[2] / "stress/scenarios"
ONE, TWO = SCENARIOS / "mapping/munmap-neighbour.scn", SCENARIOS / "mapping/hole.scn"
TARGET = f"amdgpu:{BUS}/xnack-on"


def working():
    return sick(machines.working_amdgpu())


def run(machine, *log, change=lambda machine: None, targets=(TARGET,), scenarios=(ONE,), iterations=60, environment={}):
    """Changes the machine once the first batch is in the journal. Returns the exit code and the journal's records."""
    journal, kmsg = machine.file("/journal.jsonl"), machine.file("/dev/kmsg")
    os.mkfifo(kmsg)
    to = os.open(kmsg, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(to, fcntl.F_SETFL, os.O_NONBLOCK | os.O_DIRECT)  # a record is a read, as in /dev/kmsg
    ended = threading.Event()

    def later():
        while not (journal.exists() and '"ev":"batch"' in journal.read_text()):
            if ended.wait(0.02):
                return
        change(machine)
        for line in log:
            os.write(to, f"3,1,1,-;{line}\n".encode())

    thread = threading.Thread(target=later)
    thread.start()
    words = [word for target in targets for word in ("-t", target)]
    done = device.run(machine.testbed, [str(word) for word in (
        device.BUILD / "faultline", "run", *words, "--iterations", iterations, "--json", journal, *scenarios)], timeout=120,
        environment=environment)
    ended.set()
    thread.join()
    os.close(to)
    return done.returncode, [json.loads(line) for line in journal.read_text().splitlines()]


def verdicts(records):
    return [(each["scenario"], each["target"], each["verdict"], each["reason"]) for each in records if each["ev"] == "verdict"]


def verdict(records):
    (_, _, words, reason), = verdicts(records)
    return words, reason


def test_a_run_on_a_healthy_gpu():
    code, records = run(working(), f"amdgpu {BUS}: amdgpu: ring gfx uses VM inv eng 0 on hub 0")
    assert code == 0 and verdict(records) == ("agree", "")


def test_a_run_whose_kernel_counts_no_calls():
    """The driver's functions are not counted here: only the lab has tracefs."""
    why = [(working(), "there is no tracefs: mount -t tracefs tracefs /sys/kernel/tracing, on a kernel with CONFIG_KPROBE_EVENTS"),
           (working(), "this kernel has no kprobe events: it needs CONFIG_KPROBES and CONFIG_KPROBE_EVENTS")]
    why[1][0].file("/sys/kernel/tracing/README").write_text("tracing mini-HOWTO\n")
    for machine, words in why:
        code, records = run(machine, targets=(TARGET, "host"))
        assert code == 0
        assert [each.get("calls", {}).get("why_none") for each in records if each["ev"] == "verdict"] == [words, None]


def test_a_run_with_a_reset():
    code, records = run(working(), *RESET)
    assert code == 1 and verdict(records) == ("health", f"{GPU} was reset")
    assert [each["lines"] for each in records if each["ev"] == "health"] == [[f"{GPU} was reset", *RESET]]
    assert [each["iterations"] for each in records if each["ev"] == "verdict"] == [60]  # it went on


def test_a_run_beside_the_gpu():
    code, records = run(working(), *RESET, targets=("host",), iterations=3000)
    assert code == 0 and verdict(records) == ("agree", "")


def test_a_run_on_an_opencl_device_of_the_gpu():
    line = "nouveau 0000:01:00.0: fifo: SCHED_ERROR 0a [CTXSW_TIMEOUT]"
    scenario = SCENARIOS / "svm/coarse-two-threads.scn"
    hung = ("health", "GPU 0000:01:00.0 (nouveau) hung")
    for environment, found in ((machines.pocl_on(1), hung), ({}, ("agree", ""))):
        code, records = run(machines.nouveau(), line, targets=("opencl:pocl",), scenarios=(scenario,), iterations=4000,
                            environment=environment)
        assert code == (found[0] == "health") and verdict(records) == found


def test_a_run_with_a_refused_access():
    """The GPU's own log line is reported, but is no finding: the outcomes show what the access did."""
    fault = f"amdgpu {BUS}: amdgpu: [gfxhub0] no-retry page fault (src_id:0 ring:0 vmid:8 pasid:32769)"
    code, records = run(working(), fault)
    assert code == 0 and verdict(records) == ("agree", "")
    assert [each["words"] for each in records if each["ev"] == "driver"] == [f"{GPU} refused an access: {fault}"]


def test_a_run_that_leaves_memory():
    code, records = run(working(), change=lambda machine: machine.file(f"{SYS}/mem_info_vram_used").write_text(f"{110 * MIB}\n"))
    assert code == 1 and verdict(records)[0] == "health"
    assert verdict(records)[1].startswith(f"{GPU} has {10 * MIB} bytes of VRAM in use that belong to nobody")


def unplug(machine):
    shutil.rmtree(machine.file(SYS))
    machine.file(f"/sys/bus/pci/devices/{BUS}").unlink()


def test_a_run_whose_gpu_goes():
    """The run ends for the targets on the dead GPU, and for no others."""
    code, records = run(working(), change=unplug, targets=(TARGET, "host"), scenarios=(ONE, TWO))
    found = {(scenario, target): (words, reason) for scenario, target, words, reason in verdicts(records)}
    assert code == 1
    assert found == {
        (ONE.stem, TARGET): ("health", f"{GPU} is gone: /sys/bus/pci/devices/{BUS} is not there, or reads as ones"),
        (TWO.stem, TARGET): ("skipped", f"GPU {BUS} is gone: nothing more can be run on it before it is back"),
        (ONE.stem, "host"): ("agree", ""), (TWO.stem, "host"): ("agree", "")}
