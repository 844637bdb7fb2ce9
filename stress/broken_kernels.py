#!/usr/bin/python3
"""Which planted kernel bugs does the bench catch, and which do the kernel's own hmm-tests?

One kernel has all the bugs (ci/lab mutants lists them). A word of its command line enables one of them. Each bug
gets the same run of stress/scenarios on lab:dmirror, which ends at its first finding, and a run of hmm-tests in
the same lab. The healthy kernel (0) goes first and must be clean.

Prints a table at the end, and writes JSON lines under results/runs/ as the rows come in. Exit code: 0 if at least
--at-least bugs were caught and the healthy kernel was clean, 1 otherwise, 4 if the lab failed.
"""

import argparse
import json
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOUND = re.compile(r"^Verdict (\S+) (forbidden|health|hang|lost)\b(.*)")


def mutants():
    """[(number, name, part, is_race)] as ci/lab prints them."""
    text = subprocess.run([ROOT / "ci/lab", "mutants"], check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^\s*(\d+)\s+(\S+)\s+(\S+)\s+(yes|-)", text, re.M)
    return [(int(n), name, part, race == "yes") for n, name, part, race in rows]


def bench(number, kernel, options):
    """(verdict, scenario, seconds, forbidden outcome, exit code) of one run, which ends at its first finding."""
    command = [ROOT / "build/faultline", "run", "-t", "lab:dmirror", "--lab-kernel", kernel,
               "--lab-append", f"faultline_mutant={number}", "--iterations", str(options.iterations),
               "--seed", str(options.seed), *options.scenarios]
    began = time.monotonic()
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    finding = None
    outcome = ""
    try:
        for line in run.stdout:
            if finding is None and re.match(r"\s*\d+\s+\*>", line):
                outcome = line.split("*>", 1)[1].strip()
            match = FOUND.match(line)
            if match and finding is None:
                finding = (match[2], match[1], time.monotonic() - began, outcome)
                run.send_signal(signal.SIGINT)
        code = run.wait()
    except KeyboardInterrupt:
        run.send_signal(signal.SIGINT)
        run.wait()
        raise
    if finding:
        return (*finding, code)
    return ("agree" if code == 0 else f"exit {code}", "", time.monotonic() - began, "", code)


def hmm_tests(number):
    """'caught (...)' with the failed tests or the kernel's end, or 'missed'."""
    command = [ROOT / "ci/lab", "hmm-tests", "--mutants", "--append", f"faultline_mutant={number}"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=400)
    except subprocess.TimeoutExpired:
        return "caught (hung)"
    if run.returncode == 0:
        return "missed"
    failed = re.findall(r"^not ok \d+ (\S+)", run.stdout, re.M)
    return "caught (" + (", ".join(failed[:2]) or "the machine died") + ")"


def table(rows):
    lines = [f"{'N':>2}  {'bug':27} {'part':9} {'race':4} {'bench':10} {'scenario':31} {'s':>5}  hmm-tests"]
    for r in rows:
        lines.append(f"{r['number']:>2}  {r['name']:27} {r['part']:9} {'yes' if r['race'] else '-':4} "
                     f"{r['verdict']:10} {r['scenario']:31} {r['seconds']:5.0f}  {r['hmm_tests']}")
    bugs = [r for r in rows if r["number"]]
    caught = [r for r in bugs if r["scenario"]]
    missed = [r for r in caught if r["hmm_tests"] == "missed"]
    lines.append(f"caught {len(caught)} of {len(bugs)}, {sum(r['race'] for r in caught)} of them races; "
                 f"{len(missed)} of the caught ones hmm-tests miss")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", help="numbers, such as 1,4,9-12 (default: all)")
    parser.add_argument("--iterations", type=int, default=100, help="of each scenario (default 100)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-least", type=int, default=8, help="bugs that must be caught (default 8)")
    parser.add_argument("--no-hmm-tests", action="store_true", help="leave hmm-tests out")
    parser.add_argument("scenarios", nargs="*", default=["stress/scenarios"])
    options = parser.parse_args()

    wanted = None
    if options.mutants:
        wanted = set()
        for part in options.mutants.split(","):
            low, _, high = part.partition("-")
            if not low.isdigit() or (high and not high.isdigit()):
                parser.error(f"--mutants: '{part}' is neither a number nor a range such as 9-12")
            wanted.update(range(int(low), int(high or low) + 1))
        unknown = wanted - {m[0] for m in mutants()}
        if unknown:
            parser.error(f"--mutants: there is no {min(unknown)} ('ci/lab mutants' lists them)")

    built = subprocess.run([ROOT / "ci/lab", "build", "--mutants"], stdout=subprocess.PIPE, text=True)
    if built.returncode:
        return 4
    kernel = pathlib.Path(built.stdout.strip().splitlines()[-1]) / "bzImage"

    runs = ROOT / "results/runs"
    runs.mkdir(parents=True, exist_ok=True)
    rows = []
    with open(runs / time.strftime("broken-kernels-%Y-%m-%dT%H-%M-%SZ.jsonl", time.gmtime()), "a") as log:
        for number, name, part, race in [(0, "healthy", "-", False)] + mutants():
            if wanted is not None and number and number not in wanted:
                continue
            print(f"{number}: {name} ...", file=sys.stderr, flush=True)
            verdict, scenario, seconds, outcome, code = bench(number, kernel, options)
            row = {"number": number, "name": name, "part": part, "race": race, "verdict": verdict, "exit": code,
                   "scenario": scenario, "outcome": outcome, "seconds": round(seconds, 1),
                   "hmm_tests": "-" if options.no_hmm_tests else hmm_tests(number)}
            rows.append(row)
            log.write(json.dumps(row) + "\n")
            log.flush()
    print(table(rows))
    print(f"rows: {log.name}")
    if any(r["exit"] in (2, 3, 4) for r in rows):
        return 4
    clean = rows[0]["verdict"] == "agree"
    return 0 if clean and sum(bool(r["scenario"]) for r in rows[1:]) >= options.at_least else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted; the rows so far are in results/runs/")
