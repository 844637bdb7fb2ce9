"""Random programs of one thread on the mocked KFD. The mock and the reference are two readings of the driver's source: they
must agree on the history of every page."""

import random

import pytest

import cpu_faults
import machines
from test_runs import gpu_of, OFF, ON, RANGES, run

CLASSES = {ON: "unmap-and-retry", OFF: "preempt-and-restore", RANGES: "fault-and-migrate"}
PROGRAMS = 60

pytestmark = pytest.mark.skipif(cpu_faults.unavailable() != "", reason=cpu_faults.unavailable())


def pages(choose, count):
    first = choose.randrange(count)
    return f"a[{first}..{choose.randrange(first, count)}]"


def statement(choose, count, number, target, forked):
    """A random statement. Avoids what the mock does not know about pages that a child shares: a migration to VRAM takes the
    child's page too, and the child gets SIGBUS after its parent has unmapped the page. The mock does not know either that a
    store after fork() makes a COW copy. This shows only if part of a range is already unmapped, in no program of this seed."""
    page = f"a[{choose.randrange(count)}]"
    protections = ["r", "rw", "-"] if target == ON else ["r", "rw"]  # PROT_NONE stops the queues for good: a long wait
    fork = ["fork C"] if target != RANGES else []                    # there the reference can predict only very short ones
    return choose.choice([f"r{number} = load {page}", f"store {page} {10 + number}", f"r{number} = load {page} via d",
                          f"store {page} {10 + number} via d", f"mprotect {pages(choose, count)} {choose.choice(protections)}",
                          f"migrate {pages(choose, count)} to system via d"] + ([] if forked else [
                              f"migrate {pages(choose, count)} to d via d", f"migrate {pages(choose, count)} to d via d",
                              f"madvise {pages(choose, count)} dontneed", f"munmap {page}", *fork]))


def program(choose, name, target):
    count, child = choose.randint(1, 3), []
    lines = [f"migrate {pages(choose, count)} to d via d"]
    for number in range(choose.randint(2, 6)):
        lines.append(statement(choose, count, number, target, child))
        if lines[-1] == "fork C":
            page = choose.randrange(count)
            child = choose.choice([[f"r0 = load a[{page}]"], [f"store a[{page}] 30"], ["delay 0us"]])
            if choose.random() < 0.7:
                child.append("barrier done")
                lines.append("barrier done")
    seen = [f"events(P:a[{page}]) where(P:a[{page}]) P:a[{page}]" + (f" C:a[{page}]" if child else "") for page in range(count)]
    return "\n".join([f"scenario {name}", f"device d: {CLASSES[target]}", "process P", f"a: {count} pages anon rw = 5",
                      "thread P.cpu", *lines, *(["process C", *child] if child else []), "observe " + " ".join(seen),
                      "never P:a[0] = alien"]) + "\n"


def run_random(machine, target, folder, seed):
    choose = random.Random(seed)
    for number in range(PROGRAMS):
        (folder / f"random-{number}.scn").write_text(program(choose, f"random-{number}", target))
    return run(machine, target, folder, iterations=2)


@pytest.mark.parametrize("target, ran", [(ON, 50), (OFF, 50), (RANGES, 15)])
def test_random_programs(target, ran, tmp_path):
    status, verdicts, text = run_random(gpu_of(target), target, tmp_path, 1)
    assert status == 0 and set(verdicts.values()) <= {"agree", "skipped"}, text
    assert sum(each == "agree" for each in verdicts.values()) >= ran, text


@pytest.mark.parametrize("fault", ["missed event", "wrong location", "alone", "empty"])
def test_a_driver_that_does_wrong(fault, tmp_path):
    status, verdicts, text = run_random(machines.working_amdgpu(fault), ON, tmp_path, 1)
    assert status == 1 and sum(each == "forbidden" for each in verdicts.values()) >= 3, text
