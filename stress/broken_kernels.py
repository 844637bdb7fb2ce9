#!/usr/bin/python3
"""Which planted bugs does the bench catch, in the kernel and in its driver of a GPU? Which flaws of a GPU?

  stress/broken_kernels.py              bugs of mm, HMM and test_hmm, on lab:dmirror; beside it the kernel's own hmm-tests
  stress/broken_kernels.py --drivers    bugs of amdgpu, and flaws of the GPU (softgpu --broken), on lab:amdgpu

One kernel, or one amdgpu.ko, has all the bugs (ci/lab mutants and ci/lab mutants --amdgpu list them), and a word of the
command line enables one of them. Each bug gets the same run of scenarios, which ends at its first finding. What
is healthy (0) goes first: where it does not agree, the scenario is left out for the others. A finding in less than half
of the iterations does not end the run. If no other comes, its scenario is run again, with the bug and without it, ten
times as long: the bug must show three of them, and what is healthy none.

Prints a table at the end, and writes JSON lines under results/runs/ as the rows come in. Exit code: 0 if at least
--at-least bugs were caught and what is healthy was clean, 1 otherwise, 4 if the lab failed.
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAB = ROOT / "ci/lab"
FOUND = re.compile(r"^Verdict (\S+) (forbidden|health|hang|lost) \((.*)")
GPU = "lab:amdgpu:0000:00:03.0"
BLAME = "hardware is to blame"  # drm_glue/softgpu/vmhub.cpp


class Bug(NamedTuple):
    number: int
    name: str
    part: str
    race: bool
    gpu_words: str = ""  # for softgpu: then it is the GPU that is broken


class Finding(NamedTuple):
    scenario: str
    verdict: str
    seconds: float  # since the run began
    outcome: str = ""  # the first forbidden one
    times: str = ""  # "5 of 6" iterations; empty where the machine said it itself

    def seen(self):
        return int(self.times.split()[0])

    def certain(self):
        return not self.times or 2 * self.seen() >= int(self.times.split()[-1])


class Family(NamedTuple):
    list_words: list  # of ci/lab
    variant: str
    parameter: str
    targets: list
    append: str
    beside: str  # the last column
    flaws: list  # of the GPU
    scenarios: list


# What a driver's bug may show in, the quick ones first. All of stress/scenarios takes hours, and some of it hangs the GPU on
# the healthy driver (drm_glue/README.md).
OF_DRIVERS = {
    "driver-events":
        "gpu-fault gpu-fault-mprotect gpu-fault-dontneed gpu-fault-cpu-touch gpu-fault-there-and-back "
        "gpu-against-dontneed gpu-against-mprotect munmap fork there-and-back fork-preempted dontneed-preempted "
        "stops-once",
    "fork":
        "child-write never-written device-write-after device-store-order",
    "location":
        "there there-and-back cpu-brings-back-one munmap",
    "mapping":
        "dontneed-device-load dontneed-device-store munmap-neighbour munmap-then-dontneed "
        "mprotect-device-store munmap-device-store protect-none",
    "migration":
        "cpu-store cpu-store-comes-back mapped-before two-touches two-mappings part-came-back zero-pages",
    "races":
        "dontneed-stale-load first-touch message-passing two-stores-across-break",
}

HEALTHY = Bug(0, "healthy", "-", False)
KERNELS = Family(["mutants"], "mutants", "faultline_mutant", ["lab:dmirror"], "", "hmm-tests", [], ["stress/scenarios"])
DRIVERS = Family(["mutants", "--amdgpu"], "amdgpu-mutants", "amdgpu.faultline_mutant",
                 [GPU + "/xnack-on/svm", GPU + "/xnack-on", GPU + "/xnack-off"], "lockdep.prove_locking=0", "GPU's log",
                 ["skip-invalidate", "drop-fault", "writes-freed-page"],
                 [f"stress/scenarios/{folder}/{name}.scn" for folder, names in OF_DRIVERS.items() for name in names.split()])


def bugs(family):
    """As ci/lab prints them; then the flaws of the GPU."""
    text = subprocess.run([LAB, *family.list_words], check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^\s*(\d+)\s+(\S+)\s+(\S+)\s+(yes|-)", text, re.M)
    planted = [Bug(int(n), name, part, race == "yes") for n, name, part, race in rows]
    last = planted[-1].number
    return planted + [Bug(last + i, "gpu-" + flaw, "hardware", False, f"--broken {flaw}")
                      for i, flaw in enumerate(family.flaws, 1)]


def scenario_files(paths):
    """{name: path}"""
    files = [file for path in map(pathlib.Path, paths) for file in (sorted(path.rglob("*.scn")) if path.is_dir() else [path])]
    return {re.search(r"^scenario (\S+)", file.read_text(encoding="utf-8"), re.M)[1]: file for file in files}


def bench(family, bug, options, files, journal, iterations=None):
    """(findings, seconds, exit code) of one run. A bug's run ends at its first certain one."""
    number = 0 if bug.gpu_words else bug.number
    command = [ROOT / "build/faultline", "run", *[word for target in options.targets or family.targets for word in ("-t", target)],
               "--lab-append", f"{family.parameter}={number} {family.append}".strip(),
               "--iterations", str(iterations or options.iterations), "--seed", str(options.seed), "--json", journal, *files]
    if family.flaws:  # without weather, unless the caller wants it
        command += ["--lab-gpu", f"--seed 0 {options.gpu} {bug.gpu_words}".strip()]
    lab = f"exec {shlex.quote(str(LAB))} \"$@\" --{family.variant}"
    began = time.monotonic()
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                           env={**os.environ, "FAULTLINE_LAB": f"/bin/sh -c {shlex.quote(lab)} lab"})
    findings, outcome, seen = [], "", 0
    try:
        for line in run.stdout:
            if match := re.match(r"\s*(\d+)\s+\*> (.*)", line):
                outcome, seen = outcome or match[2].strip(), seen + int(match[1])
            if match := FOUND.match(line):
                all_of = re.search(r", (\d+) iterations", match[3])
                findings.append(Finding(match[1], match[2], time.monotonic() - began, outcome,
                                        f"{seen} of {all_of[1]}" if match[2] == "forbidden" and all_of else ""))
                if bug.number and findings[-1].certain():
                    run.send_signal(signal.SIGINT)
            if line.startswith("Verdict "):
                outcome, seen = "", 0
        code = run.wait()
    except KeyboardInterrupt:
        run.send_signal(signal.SIGINT)
        run.wait()
        raise
    return findings, time.monotonic() - began, code


def decided(family, bug, options, files, findings, journal):
    """The finding that shows the bug, or None."""
    for finding in findings:
        if finding.certain():
            return finding
    if not findings:
        return None
    again = [bench(family, each, options, [files[findings[0].scenario]], journal.with_suffix(f".again-{each.number}.jsonl"),
                   10 * options.iterations)[0] for each in (bug, HEALTHY)]
    if again[1] or not again[0] or not again[0][0].certain() and again[0][0].seen() < 3:
        return None
    return findings[0]._replace(times=again[0][0].times)


def hmm_tests(number):
    """'caught (...)' with the failed tests or the kernel's end, or 'missed'."""
    command = [LAB, "hmm-tests", "--mutants", "--append", f"faultline_mutant={number}"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=400)
    except subprocess.TimeoutExpired:
        return "caught (hung)"
    if run.returncode == 0:
        return "missed"
    failed = re.findall(r"^not ok \d+ (\S+)", run.stdout, re.M)
    return "caught (" + (", ".join(failed[:2]) or "the machine died") + ")"


def gpus_log(journal):
    """Whom the software GPU blames: 'hardware (times)' where it has used what it should not."""
    logs = journal.parent.glob(journal.name + ".*.console.gpu")
    times = sum(log.read_text(encoding="utf-8", errors="replace").count(BLAME) for log in logs)
    return f"hardware ({times})" if times else "-"


def table(family, rows):
    lines = [f"{'N':>2}  {'bug':27} {'part':9} {'race':4} {'bench':10} {'scenario':31} {'times':>8} {'s':>5}  {family.beside}"]
    for r in rows:
        lines.append(f"{r['number']:>2}  {r['name']:27} {r['part']:9} {'yes' if r['race'] else '-':4} "
                     f"{r['verdict']:10} {r['scenario']:31} {r['times']:>8} {r['seconds']:5.0f}  {r['beside']}")
    planted = [r for r in rows if r["number"]]
    caught = [r for r in planted if r["scenario"]]
    lines.append(f"caught {len(caught)} of {len(planted)}, {sum(r['race'] for r in caught)} of them races")
    if family is KERNELS:
        lines[-1] += f"; {sum(r['beside'] == 'missed' for r in caught)} of the caught ones hmm-tests miss"
    return "\n".join(lines)


def numbers(parser, text, known):
    wanted = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        if not low.isdigit() or (high and not high.isdigit()):
            parser.error(f"--mutants: '{part}' is neither a number nor a range such as 9-12")
        wanted.update(range(int(low), int(high or low) + 1))
    if unknown := wanted - {bug.number for bug in known}:
        parser.error(f"--mutants: there is no {min(unknown)} ('ci/lab mutants' lists them)")
    return wanted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drivers", action="store_true", help="bugs of amdgpu, and flaws of the GPU")
    parser.add_argument("--mutants", help="numbers, such as 1,4,9-12 (default: all)")
    parser.add_argument("-t", dest="targets", metavar="TARGET", action="append", help="in place of all targets of the family")
    parser.add_argument("--without", metavar="SCENARIO", action="append", default=[], help="leave this one out")
    parser.add_argument("--gpu", metavar="WORDS", default="", help="for the software GPU: '--seed 3' makes engines late, which "
                        "races need")
    parser.add_argument("--iterations", type=int, default=100, help="of each scenario (default 100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-least", type=int, default=8, help="bugs that must be caught (default 8)")
    parser.add_argument("--no-hmm-tests", action="store_true", help="leave hmm-tests out")
    parser.add_argument("scenarios", nargs="*", help="files and folders (default: stress/scenarios; of drivers 39 of them)")
    options = parser.parse_args()

    family = DRIVERS if options.drivers else KERNELS
    known = bugs(family)
    wanted = numbers(parser, options.mutants, known) if options.mutants else {bug.number for bug in known}
    files = scenario_files(options.scenarios or [ROOT / path for path in family.scenarios])
    if unknown := set(options.without) - set(files):
        parser.error(f"--without: there is no {min(unknown)} among the scenarios")
    if subprocess.run([LAB, "build", "--" + family.variant], stdout=subprocess.DEVNULL).returncode:
        return 4

    folder = ROOT / "results/runs" / time.strftime("broken-" + family.variant + "-%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    folder.mkdir(parents=True)
    rows, failed = [], False
    left_out = set(options.without)
    with open(folder / "rows.jsonl", "a") as log:
        for bug in [HEALTHY] + known:
            if bug.number and bug.number not in wanted:
                continue
            print(f"{bug.number}: {bug.name} ...", file=sys.stderr, flush=True)
            journal = folder / f"{bug.number}.jsonl"
            paths = [path for name, path in files.items() if name not in left_out]
            findings, seconds, code = bench(family, bug, options, paths, journal)
            if not bug.number and findings:
                left_out.update(each.scenario for each in findings)
                print(f"left out, since what is healthy does not agree: {', '.join(sorted(left_out))}", file=sys.stderr)
            finding = decided(family, bug, options, files, findings, journal) if bug.number else (findings or [None])[0]
            beside = gpus_log(journal) if family is DRIVERS else "-" if options.no_hmm_tests else hmm_tests(bug.number)
            finding = finding or Finding("", "agree" if code == 0 or findings else f"exit {code}", seconds)
            rows.append({"number": bug.number, "name": bug.name, "part": bug.part, "race": bug.race, "verdict": finding.verdict,
                         "exit": code, "scenario": finding.scenario, "outcome": finding.outcome, "times": finding.times,
                         "seconds": round(finding.seconds, 1), "beside": beside})
            failed = failed or code in (2, 3, 4) and not findings
            log.write(json.dumps(rows[-1]) + "\n")
            log.flush()
    print(table(family, rows))
    print(f"rows: {log.name}")
    if failed:
        return 4
    return 0 if rows[0]["verdict"] == "agree" and sum(bool(r["scenario"]) for r in rows[1:]) >= options.at_least else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; the rows so far are in results/runs/")
