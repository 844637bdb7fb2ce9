#!/usr/bin/python3
"""Explores the interval notifier protocol with faultline's explorer and with SPIN, side by side.

Prints a row for each rung of the ladder (invalidators, faulters): wall time, peak memory and states of
both, and their ratios. Then each planted bug under both. Then the cost of predicting all scenarios, and of
predicting one scenario with a region of 16 pages and with one of 2^28 pages.

Times are reported, never judged. Exit code 1: the outcomes of the two differ, one of them missed a planted
bug, or the large region needs more than twice the states of the small one. 4: a tool failed."""
import argparse
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LADDER = [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3)]
BUGS = ["no-read-retry", "callback-does-not-stamp", "callback-without-lock", "read-begin-does-not-wait",
        "first-end-completes"]
REGION = """scenario large
device d: recoverable
process P
  a: {pages} pages anon rw
thread P.cpu
  store a[0] 1
  fork C
  mprotect a r
  mremap a[2..9] -> a[0]
thread P.gpu on d
  store a[1] 2
  load a[{last}]
process C
  munmap a[1..{last}]
  load a[0]
"""
DEPTH = 100_000  # longest path that SPIN may follow


class ToolFailed(Exception):
    pass


class Answer:
    """What one of the two said about one rung."""

    def __init__(self, seconds, cpu, mib):
        self.seconds, self.cpu, self.mib = seconds, cpu, mib
        self.states = 0
        self.found = False     # a finding, an assertion that failed
        self.outcomes = set()
        self.ended = ""        # why the run did not finish; empty: it did


def measured(command, cwd, seconds, memory_mib=None):
    """Runs it: exit status (None: killed), output, seconds, CPU seconds, most resident MiB."""
    def limit():
        if memory_mib:
            resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))
    with tempfile.TemporaryFile("w+") as out:
        begin = time.monotonic()
        child = subprocess.Popen(command, cwd=cwd, stdout=out, stderr=subprocess.STDOUT, preexec_fn=limit)
        # At the limit SIGINT, so that pan reports how far it came. SIGKILL soon after.
        limits, pid = [(seconds, signal.SIGINT), (seconds + 10, signal.SIGKILL)], 0
        while not pid:
            pid, code, usage = os.wait4(child.pid, os.WNOHANG)
            if not pid and limits and time.monotonic() - begin > limits[0][0]:
                child.send_signal(limits.pop(0)[1])
            time.sleep(0.002)
        took = time.monotonic() - begin
        status = None if os.WIFSIGNALED(code) else os.WEXITSTATUS(code)
        child.returncode = 0  # reaped above
        out.seek(0)
        return status, out.read(), took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def outcomes(text):
    return set(re.findall(r"^outcome: (.*)$", text, re.M))


def ours(ladder, rung, limits, variant=None):
    command = [str(ladder), str(rung[0]), str(rung[1]), str(limits.workers)] + ([variant] if variant else [])
    status, text, seconds, cpu, mib = measured(command, None, limits.seconds, limits.memory)
    answer = Answer(seconds, cpu, mib)
    if status is None and (seconds >= limits.seconds or "bad_alloc" in text):
        answer.ended = "out of memory" if "bad_alloc" in text else f"stopped at {limits.seconds:g} s"
        return answer
    if status != 0:
        raise ToolFailed(f"{' '.join(command)}: exit {status}\n{text}")
    said = dict(re.findall(r"^(\w+): (\d+)$", text, re.M))
    answer.states, answer.found = int(said["states"]), said["findings"] != "0"
    answer.outcomes = outcomes(text)
    if said["complete"] != "1":
        answer.ended = "budget of states"
    return answer


def build(command, cwd):
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise ToolFailed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")


def spin(model, rung, limits, variant=None):
    with tempfile.TemporaryDirectory() as folder:
        defines = [f"-DINVALIDATORS={rung[0]}", f"-DFAULTERS={rung[1]}"]
        if variant:
            defines.append("-D" + variant.upper().replace("-", "_"))
        build(["spin", "-a", *defines, str(model)], folder)
        build(["gcc", "-O2", f"-DMEMLIM={limits.memory}", "-o", "pan", "pan.c"], folder)
        status, text, seconds, cpu, mib = measured(["./pan", f"-m{DEPTH}"], folder, limits.seconds)
    answer = Answer(seconds, cpu, mib)
    stored = re.search(r"^\s*([\d.e+]+) states, stored", text, re.M)
    errors = re.search(r"errors: (\d+)", text)
    answer.outcomes = outcomes(text)
    answer.found = "assertion violated" in text or "invalid end state" in text.split("Full statespace")[0]
    answer.states = int(float(stored[1])) if stored else 0
    if "reached -DMEMLIM bound" in text or "out of memory" in text:
        answer.ended = "out of memory"
    elif status is None or "Interrupted" in text:
        answer.ended = f"stopped at {limits.seconds:g} s"
    elif "max search depth too small" in text:
        answer.ended = f"a path is longer than {DEPTH}"
    elif not errors:
        raise ToolFailed(f"pan: exit {status}\n{text}")
    return answer


def cells(answer):
    """The columns of an answer. If the run was stopped: with the states that it had reached."""
    states = f"{'>' if answer.ended else ''}{answer.states}" if answer.states else "-"
    return f"{answer.seconds:8.2f} {answer.cpu:8.2f} {answer.mib:6.0f} {states:>11}"


def row(rung, a, b):
    """One line of the table, and whether the two agree (None: one of them did not finish)."""
    text = f"{rung[0]},{rung[1]}  {cells(a)}   {cells(b)}   "
    if a.ended or b.ended:
        who = [f"{name}: {x.ended}" for name, x in (("faultline", a), ("SPIN", b)) if x.ended]
        return text + "  ".join(who), None
    ratios = b.seconds / a.seconds, b.cpu / max(a.cpu, 0.001), b.mib / a.mib, b.states / a.states
    text += " ".join(f"{ratio:6.1f}" for ratio in ratios)
    same = a.outcomes == b.outcomes and bool(a.outcomes) and not a.found and not b.found
    text += f"   {len(a.outcomes)} outcomes, equal" if same else "   THEY DIFFER"
    return text, same


def table(rungs, ladder, limits):
    """Prints the table. Returns whether faultline and SPIN agreed wherever both finished."""
    cores = limits.workers or os.cpu_count()
    head = f"{'s':>8} {'CPU s':>8} {'MiB':>6} {'states':>11}"
    print(f"Interval notifier, two rounds each; at most {limits.seconds:g} s and {limits.memory} MiB for each run.\n"
          f"faultline: {cores} cores, equal threads exchanged.\n"
          "SPIN: one core, pan -O2 with its default reductions, without the time to compile it.\n"
          "Ratios: SPIN / faultline.\n\n"
          f"     {'faultline':<36}   {'SPIN':<36}     ratio\n"
          f"rung {head}   {head}        s  CPU s    MiB states")
    good = True
    for rung in rungs:
        text, same = row(rung, ours(ladder, rung, limits), spin(limits.model, rung, limits))
        print(text, flush=True)
        good = good and same is not False
    return good


def planted(bugs, ladder, limits):
    """Prints who found which bug. Returns whether both found all."""
    print(f"\nPlanted bugs, rung 2,1{'faultline':>23}{'SPIN':>12}")
    good = True
    for bug in bugs:
        a, b = ours(ladder, (2, 1), limits, bug), spin(limits.model, (2, 1), limits, bug)
        said = ["found" if x.found else "MISSED" for x in (a, b)]
        print(f"{bug:<30}{said[0]:>7} {a.seconds:6.2f} s {said[1]:>7} {b.seconds:6.2f} s", flush=True)
        good = good and a.found and b.found
    return good


def predictions(faultline, limits):
    """Prints what predictions cost. Returns whether the cost follows the operations, not the pages."""
    def predict(path):
        status, text, seconds, _, mib = measured([faultline, "predict", str(path)], ROOT, limits.seconds)
        if status:
            raise ToolFailed(f"{faultline} predict {path}: exit {status}\n{text}")
        return sum(map(int, re.findall(r"^States (\d+),", text, re.M))), text.count("\nStates "), seconds, mib
    states, scenarios, seconds, mib = predict("stress/scenarios")
    print(f"\nPredictions of all {scenarios} scenarios: {seconds:.2f} s, {mib:.0f} MiB, {states} states", flush=True)
    costs = []
    with tempfile.TemporaryDirectory() as folder:
        for pages in (16, 1 << 28):
            path = pathlib.Path(folder) / f"{pages}.scn"
            path.write_text(REGION.format(pages=pages, last=pages - 1))
            states, _, seconds, _ = min((predict(path) for _ in range(9)), key=lambda cost: cost[2])
            costs.append((states, seconds))
            print(f"  a region of {pages:>9} pages: {seconds:.3f} s (least of 9), {states} states", flush=True)
    print(f"  ratio: {costs[1][1] / costs[0][1]:.2f} in time, {costs[1][0] / costs[0][0]:.2f} in states")
    return costs[1][0] <= 2 * costs[0][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    option = parser.add_argument
    option("--ladder", default="build/ladder", help="the program that explores one rung (default %(default)s)")
    option("--model", default=HERE / "interval_notifier.pml", help="the same protocol in Promela")
    option("--rungs", default=" ".join(f"{i},{f}" for i, f in LADDER), help="INVALIDATORS,FAULTERS of each rung"
           " (default '%(default)s')")
    option("--bugs", default=" ".join(BUGS), help="planted bugs to look for (default: all five)")
    option("--predict", default="build/faultline", metavar="PROGRAM", help="the program that predicts (default"
           " %(default)s); '': no predictions")
    option("--seconds", type=float, default=600, help="time limit of each run (default %(default)s)")
    option("--memory", type=int, default=8192, metavar="MiB", help="memory limit of each run (default %(default)s)")
    option("--workers", type=int, default=0, help="workers of faultline; 0: one for each core (default)")
    limits = parser.parse_args()
    rungs = [tuple(int(n) for n in r.split(",")) for r in limits.rungs.split()]
    ladder = pathlib.Path(limits.ladder).resolve()
    good = table(rungs, ladder, limits) if rungs else True
    if limits.bugs.split():
        good = planted(limits.bugs.split(), ladder, limits) and good
    if limits.predict:
        good = predictions(pathlib.Path(limits.predict).resolve(), limits) and good
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ToolFailed, OSError) as failed:
        print(f"bench.py: {failed}", file=sys.stderr)
        sys.exit(4)
