#!/usr/bin/python3
"""Runs the executor beside the floor (floor.c): scenarios with the same system calls, by hand, without checks.

Both run by turns, some times each. The rates are the best ones, because other work on the machine makes each run slower and none
faster; the median is that of the rates of a turn. "drawn" is the executor as in a run: what it waits on purpose (offsets,
disturbances) is part of it. Then the system calls of an iteration of both, counted with strace, and why they differ.
On `lab:dmirror` all of this happens in one boot of the virtual lab, without strace.

Rates are reported, never judged. Exit code 1: a count differs and nothing here says why. 3: a part was left out. 4: a tool
failed."""
import argparse
import pathlib
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SCENARIOS = ROOT / "stress/scenarios"
HOST = ["races/dontneed-stale-load", "races/unmap-and-map-again", "races/direct-io-munmap", "fork/late-cpu-store",
        "fork/device-store-order"]
LAB = ["mapping/dontneed-device-load", "fork/device-store-order"]
NODE = "/dev/hmm_dmirror0"
# Why the executor makes more or less calls of a kind than the floor. Every other difference is a failure of the bench.
WHY = {
    "futex": "sleeps and wake-ups; how many depends on the time, and strace takes much of it",
    "sched_yield": "a thread that waits beside more threads than there are CPUs",
    "wait4": "waitpid() once more, until no child is left",
    "poll": "of pidfd_open; and a thread that slept for long looks whether the run has ended",
    "gettid": "a child's thread says who it is, for the report of a hang",
    "sigaltstack": "a child's thread has its own stack for signals",
    "getpid": "a child says which process it is, in case its parent is killed in fork()",
    "prctl": "no huge pages, once for each batch",
    "sched_setaffinity": "placement, once for each batch",
    "pidfd_open": "a process does not answer for long: is it dead?",
    "close": "of pidfd_open",
    "kill": "the executor ends children that must live until all is read",
    "restart_syscall": "strace interrupts a sleep",
}
# And in one scenario.
WHY_HERE = {("races/direct-io-munmap", "pread64"): "a write that met munmap() is not read back; how often depends on the time"}


class ToolFailed(Exception):
    pass


def name_of(scenario):
    return scenario.rpartition("/")[2]


def run(command, timeout=600):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise ToolFailed(f"{shlex.join(map(str, command))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def rate(text):
    """Iterations a second, of one line of either program."""
    said = re.search(r"iterations (\d+) ns (\d+)", text)
    if not said or said[2] == "0":
        raise ToolFailed(f"no rate in {text!r}")
    return int(said[1]) / int(said[2]) * 1e9


class Rates:
    def __init__(self):
        self.floor, self.executor, self.drawn = [], [], []

    def row(self, scenario, target):
        median = statistics.median(b / a for a, b in zip(self.floor, self.executor))
        best = max(self.executor) / max(self.floor)
        return (f"{scenario:<32} {target:<12} {max(self.floor):>9.0f} {max(self.executor):>9.0f} {max(self.drawn):>9.0f}"
                f" {best:>6.2f} {median:>7.2f}")


def on_host(scenario, options):
    rates = Rates()
    file = SCENARIOS / f"{scenario}.scn"
    for _ in range(options.rounds):
        rates.floor.append(rate(run([options.floor, name_of(scenario), options.iterations])))
        rates.executor.append(rate(run([options.executor, "host", file, options.iterations])))
        rates.drawn.append(rate(run([options.executor, "host", file, options.iterations, "--drawn"])))
    return rates


def in_lab(scenarios, options):
    """The rates of each scenario, measured in one boot."""
    n = options.lab_iterations
    turns = "".join(f"/floor {name_of(s)} {n} {NODE} && /executor dmirror /{name_of(s)}.scn {n} && "
                    f"/executor dmirror /{name_of(s)}.scn {n} --drawn || exit 9; " for s in scenarios)
    files = [word for s in scenarios for word in ("--file", SCENARIOS / f"{s}.scn")]
    with tempfile.NamedTemporaryFile("w", suffix=".sh") as script:
        script.write(f"i=0; while [ $i -lt {options.rounds} ]; do {turns} i=$((i+1)); done\n")
        script.flush()
        text = run([ROOT / "ci/lab", "exec", "--timeout", "900", "--file", f"{options.floor}:/floor", "--file",
                    f"{options.executor}:/executor", "--file", f"{script.name}:/turns.sh", *files, "--", "sh", "/turns.sh"], 1000)
    lines = [line for line in text.splitlines() if " iterations " in line]
    if len(lines) != 3 * len(scenarios) * options.rounds:
        raise ToolFailed(f"the lab printed {len(lines)} rates:\n{text}")
    all_rates = [Rates() for _ in scenarios]
    for i, line in enumerate(lines):
        rates = all_rates[i // 3 % len(scenarios)]
        (rates.floor, rates.executor, rates.drawn)[i % 3].append(rate(line))
    return all_rates


def count(command):
    """{system call: calls} of the command and its children."""
    with tempfile.NamedTemporaryFile("r") as out:
        run(["strace", "-f", "-qq", "-c", "-o", out.name, *command])
        rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", out.read(), re.M)
    return {name: int(calls) for calls, name in rows if name != "total"}


def calls_of_an_iteration(command):
    """What `command N` makes more of with larger N, for each iteration. `command` ends where N belongs."""
    few, more = 100, 400
    less, all_calls = count([*command, few]), count([*command, more])
    each = {name: (calls - less.get(name, 0)) / (more - few) for name, calls in all_calls.items()}
    return {name: calls for name, calls in each.items() if abs(calls) >= 0.02}


def compare_calls(scenario, options):
    """Prints the calls of both side by side. Returns whether every difference has a reason."""
    floor = calls_of_an_iteration([options.floor, name_of(scenario)])
    executor = calls_of_an_iteration([options.executor, "host", SCENARIOS / f"{scenario}.scn"])
    good = True
    print(f"\n{scenario}, calls of an iteration: floor, executor")
    for name in sorted(floor | executor):
        a, b = floor.get(name, 0.0), executor.get(name, 0.0)
        why = "" if abs(a - b) < 0.1 else WHY_HERE.get((scenario, name)) or WHY.get(name, "THEY DIFFER")
        good = good and why != "THEY DIFFER"
        print(f"  {name:<20} {a:7.2f} {b:7.2f}  {why}".rstrip())
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    option = parser.add_argument
    option("--floor", default="build/floor", help="the floor (default %(default)s)")
    option("--executor", default="build/executor-loop", help="the executor's loop (default %(default)s)")
    option("--rounds", type=int, default=15, help="turns of each (default %(default)s)")
    option("--iterations", type=int, default=400, help="of each turn on host (default %(default)s)")
    option("--lab-iterations", type=int, default=60, help="of each turn in the lab (default %(default)s)")
    option("--host", default=" ".join(HOST), help="scenarios to run on host; '': none (default '%(default)s')")
    option("--lab", default=" ".join(LAB), help="scenarios to run on lab:dmirror; '': none (default '%(default)s')")
    option("--calls", default=" ".join(HOST), help="scenarios to count the system calls of (default: those on host)")
    options = parser.parse_args()
    if min(options.rounds, options.iterations, options.lab_iterations) < 1:
        parser.error("rounds and iterations begin at 1")
    options.floor, options.executor = (pathlib.Path(p).resolve() for p in (options.floor, options.executor))
    print(f"Iterations a second; {options.rounds} rounds by turns.\n\n"
          f"{'scenario':<32} {'target':<12} {'floor':>9} {'executor':>9} {'drawn':>9} {'ratio':>6} {'median':>7}")
    for scenario in options.host.split():
        print(on_host(scenario, options).row(scenario, "host"), flush=True)
    left_out = ""
    if options.lab.split() and subprocess.run([ROOT / "ci/lab", "path"], capture_output=True).returncode:
        left_out = "lab:dmirror is left out: the lab's kernel is not built (ci/lab build)"
    elif options.lab.split():
        for scenario, rates in zip(options.lab.split(), in_lab(options.lab.split(), options)):
            print(rates.row(scenario, "lab:dmirror"), flush=True)
    good = True
    if options.calls.split() and not shutil.which("strace"):
        left_out = "system calls are not counted: there is no strace (ci/setup strace)"
    else:
        for scenario in options.calls.split():
            good = compare_calls(scenario, options) and good
    if left_out:
        print(f"bench.py: {left_out}", file=sys.stderr)
    return 1 if not good else 3 if left_out else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ToolFailed, OSError, subprocess.TimeoutExpired) as failed:
        print(f"bench.py: {failed}", file=sys.stderr)
        sys.exit(4)
