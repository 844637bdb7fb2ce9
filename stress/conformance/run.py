#!/usr/bin/python3
"""Random programs, one thread at a time, on real kernels: does the reference say what they do?

Each program makes a few mappings and works on them with loads, stores and system calls, and with requests of the
device if the target has one. It forks children that do the same while their parent waits. At the end it looks at
every page. The reference predicts every result, fault, page identity, location and snapshot letter, and the kernel
must show one of the predictions. There are no races, so a program takes a few milliseconds and needs no repetition.
Thousands of programs cover the state in which each call leaves the pages for the next call.

  stress/conformance/run.py                                    2,000 programs on this machine, as root
  stress/conformance/run.py -t lab:dmirror --programs 5000     ... with a device, in the virtual lab
  stress/conformance/run.py --programs 20000 --each-pair 20    ... a long run, which leaves no pair out
  stress/conformance/run.py -t lab:dmirror --lab-kernel arch/x86/boot/bzImage
                                                               ... on a kernel of your own
  stress/conformance/run.py --without fork-write-protects      is a broken reference noticed?

A program that differs from the prediction is made as small as possible and written to a file beside the journal
(results/runs/). It is shown with the prediction and the outcome. Then the kernel, the reference or the executor is
wrong. `build/faultline run FILE` shows the difference again.

Ctrl-C ends the run after the current program and prints what was tried until then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 250  # programs that one search draws; the next search uses the next seed
AROUND_PAIR = 20  # programs that one search draws around a pair of operations
MOST_ATTEMPTS = 15  # searches for one pair before it is given up
SHOWN_PAIRS = 12  # at most so many pairs that were tried too seldom are shown
EXIT = """exit status: 0 every program agrees, 1 one differs, 2 bad usage or a target that is not here,
3 not everything could be tried (Ctrl-C), 4 the bench failed"""


def arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stress/conformance/run.py", description=__doc__, epilog=EXIT,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-t", "--target", action="append", metavar="TARGET",
                        help="host, pinned or dmirror, or one of them in the lab (lab:dmirror); may be given more "
                             "than once (default: host)")
    parser.add_argument("--programs", type=int, default=2000, metavar="N", help="on each target (default: 2000)")
    parser.add_argument("--each-pair", type=int, default=0, metavar="N",
                        help="then more programs, until every pair of operations was tried as neighbours N times")
    parser.add_argument("--iterations", type=int, default=2, metavar="N", help="of each program (default: 2)")
    parser.add_argument("--seed", type=int, metavar="N", help="default: a new one, which is printed")
    parser.add_argument("--lab-kernel", default="", metavar="FILE", help="a bzImage for the lab")
    parser.add_argument("--lab-append", default="", metavar="WORDS", help="more words for its command line")
    parser.add_argument("--without", action="append", default=[], metavar="RULE",
                        help="drop a rule of the reference (kernels_ref/mm/rules.h): the run should then fail")
    args = parser.parse_args(words)
    if args.programs < 1 or args.iterations < 1:
        parser.error("--programs and --iterations are at least 1")
    return args


class Journal:
    """JSON lines, written at once."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.stream = path.open("a", buffering=1)

    def __call__(self, record: dict) -> None:
        self.stream.write(json.dumps(record) + "\n")


class Progress:
    """On a terminal one line that changes; elsewhere a new line now and then."""

    def __init__(self, stream=sys.stderr):
        self.stream = stream
        self.live = stream.isatty()
        self.start = time.monotonic()
        self.next = self.start + (0 if self.live else 20)

    def show(self, checker, wanted: int, each_pair: int) -> None:
        now = time.monotonic()
        if now < self.next:
            return
        self.next = now + (0.2 if self.live else 20)
        agreed = checker.counts["agree"]
        rate = agreed / max(now - self.start, 1e-3)
        line = f"{checker.target}: {agreed} of {wanted} programs agree, {rate:.0f} a second"
        if agreed >= wanted:
            line = f"{checker.target}: {agreed} programs agree, {len(checker.seldom(each_pair))} pairs of operations left"
        self.stream.write(f"\r\033[K{line}" if self.live else line + "\n")
        self.stream.flush()

    def clear(self) -> None:
        if self.live:
            self.stream.write("\r\033[K")
            self.stream.flush()


def pair_table(pairs: dict[tuple[str, str], int], kinds: list[str]) -> str:
    """A table: the first operation of a pair selects the row, the next one the column."""
    width = max(map(len, kinds))
    text = " " * width + "".join(f" {i + 1:4}" for i in range(len(kinds))) + "   (next)\n"
    for i, first in enumerate(kinds):
        cells = "".join(f" {pairs.get((first, second), 0) or '.':>4}" for second in kinds)
        text += f"{first:>{width}}{cells}   {i + 1}\n"
    return text


def run_target(target: str, args: argparse.Namespace, seed: int, folder: Path) -> int:
    from checker import BadInput, Checker
    import programs

    stem = f"conformance-{time.strftime('%Y%m%d-%H%M%S')}-{target.replace(':', '-')}"
    journal = Journal(folder / f"{stem}.jsonl")
    try:
        checker = Checker(target, kernel=args.lab_kernel, append=args.lab_append, iterations=args.iterations,
                          without=tuple(args.without), journal=journal)
    except BadInput as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 4
    start = time.monotonic()
    journal({"record": "run", "target": target, "kernel": checker.kernel, "seed": seed, "programs": args.programs,
             "iterations": args.iterations, "without": args.without})
    print(f"{target}: {checker.kernel}, seed {seed}")
    difference, interrupted, drawn = None, False, 0
    progress = Progress()
    count = checker.check_script

    def counted(script) -> None:
        nonlocal drawn
        drawn += 1
        count(script)
        progress.show(checker, args.programs, args.each_pair)

    checker.check_script = counted
    chunk = 0
    try:
        while difference is None and checker.counts["agree"] < args.programs:
            if chunk > 10 and checker.counts["agree"] == 0:
                print("run.py: no program could be run", file=sys.stderr)
                break
            left = args.programs - checker.counts["agree"]
            difference = checker.find_difference(min(CHUNK, left + 5), seed + chunk)
            chunk += 1
        attempts = Counter()
        while difference is None and (pairs := [pair for pair in checker.seldom(args.each_pair)
                                                if attempts[pair] < MOST_ATTEMPTS]):
            difference = checker.find_difference(AROUND_PAIR, seed + chunk, pairs[0])
            attempts[pairs[0]] += 1
            chunk += 1
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress.clear()
        checker.close()
    seconds = time.monotonic() - start
    kinds = list(checker.kinds)
    for (first, second), number in sorted(checker.pairs.items()):
        journal({"record": "pair", "first": first, "second": second, "count": number})
    journal({"record": "end", "seconds": seconds, "counts": dict(checker.counts), "known_bugs": dict(checker.bugs),
             "interrupted": interrupted})
    print(pair_table(checker.pairs, kinds), end="")
    tried = len(checker.pairs)
    possible = sum(programs.together(first, second) for first in kinds for second in kinds)
    print(f"{tried} of {possible} pairs of neighbouring operations were tried, "
          f"{checker.statements} operations, {checker.allowed} outcomes allowed")
    if args.each_pair:
        seldom = checker.seldom(args.each_pair)
        print(f"{possible - len(seldom)} of them {args.each_pair} times or more" +
              "".join(f"\n  only {checker.pairs[pair]}: {pair[0]}, then {pair[1]}" for pair in seldom[:SHOWN_PAIRS]) +
              (f"\n  and {len(seldom) - SHOWN_PAIRS} more" if len(seldom) > SHOWN_PAIRS else ""))
    for bug, number in checker.bugs.most_common():
        print(f"not run: {number} programs that run into the known bug {bug}")
    others = {how: n for how, n in checker.counts.items() if how not in ("agree", "known bug", "different", "interrupted")}
    print(f"{target}: {checker.counts['agree']} programs agree in {seconds:.0f} s" +
          "".join(f", {n} {how}" for how, n in others.items()) + (" (interrupted)" if interrupted else ""))
    print(f"journal: {os.path.relpath(journal.path)}")
    if difference:
        path = folder / f"{stem}.scn"
        path.write_text(difference.script.text)
        journal({"record": "difference", "verdict": difference.verdict, "file": path.name, "text": difference.text})
        print(f"\n{difference.script.text}\n{target}: {difference.verdict}: this is not what was predicted\n"
              f"{difference.text}")
        again = f"build/faultline run -t {target} --iterations 100 {os.path.relpath(path)}"
        if args.without:
            again = " ".join(["stress/conformance/run.py", "-t", target, "--programs", str(args.programs), "--seed",
                              str(seed)] + [f"--without {rule}" for rule in args.without])
        if args.lab_kernel:
            again += f" --lab-kernel {args.lab_kernel}"
        if args.lab_append:
            again += f" --lab-append '{args.lab_append}'"
        print(f"Again: {again}")
        return 4 if difference.verdict == "error" else 1
    return 3 if interrupted or checker.counts["agree"] < args.programs else 0


def main(words: list[str] | None = None) -> int:
    args = arguments(words)
    try:
        import faultline  # noqa: F401
    except ImportError:
        sys.path.append(str(ROOT / "build" / "python"))
        try:
            import faultline  # noqa: F401
        except ImportError as error:
            print(f"run.py: {error}; build it first: ninja", file=sys.stderr)
            return 2
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1_000_000)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    codes = []
    for target in args.target or ["host"]:
        codes.append(run_target(target, args, seed, ROOT / "results" / "runs"))
        if codes[-1] == 3:
            break
    return next((code for code in (1, 4, 2, 3) if code in codes), 0)


if __name__ == "__main__":
    sys.exit(main())
