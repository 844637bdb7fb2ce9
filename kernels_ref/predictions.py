#!/usr/bin/python3
"""What the reference says of every scenario, pinned in kernels_ref/predictions.txt.

A scenario has one line for each answer that differs. The line gives the device classes with that answer, the number of
states, of executions and of allowed outcomes, and a digest of the answer (the observables, the outcomes, known bugs,
what is undefined or not modelled, findings). A change that only moves code changes no line. A change in what the kernel
may do shows which scenarios it affects.

  kernels_ref/predictions.py            shows what has changed, by scenario
  kernels_ref/predictions.py --write    stores today's answers as the right ones

Exit code: 0 when nothing has changed, 1 when something has.
"""

import argparse
import difflib
import hashlib
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PINNED = ROOT / "kernels_ref" / "predictions.txt"
if str(ROOT / "build/python") not in sys.path:
    sys.path.append(str(ROOT / "build/python"))

import faultline  # noqa: E402


def answer(program, device_class):
    """One prediction in a few words."""
    try:
        allowed = faultline.predict(program, device_class=device_class)
    except faultline.ParseError:  # parsed already: on this class it may wait for ever
        return "may wait for ever"
    said = {"schema": allowed.schema, "outcomes": allowed.outcomes, "complete": allowed.complete,
            "known_bugs": allowed.known_bugs, "undefined": allowed.undefined, "unknown": allowed.unknown,
            "findings": allowed.findings}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
    return f"{allowed.states} states, {allowed.executions} executions, {len(allowed)} outcomes {digest}"


def lines(scenarios=ROOT / "stress" / "scenarios"):
    """The lines of predictions.txt, as the reference answers now."""
    result = []
    for path in sorted(scenarios.rglob("*.scn")):
        program = faultline.parse(path.read_text(), str(path))
        classes = {}
        for device_class in faultline.device_classes():
            classes.setdefault(answer(program, device_class), []).append(device_class)
        result += [f"{path.relative_to(scenarios)} {','.join(each)}: {said}" for said, each in classes.items()]
    return result


def changes(pinned, now):
    """The lines that differ, '-' before and '+' now."""
    return [line for line in difflib.unified_diff(pinned, now, lineterm="", n=0) if line[:3] not in ("---", "+++") and line[:2] != "@@"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store today's answers as the right ones")
    options = parser.parse_args()
    now = lines()
    found = changes(PINNED.read_text().splitlines() if PINNED.exists() else [], now)
    print("\n".join(found) if found else f"{len(now)} answers, as pinned")
    if options.write:
        PINNED.write_text("\n".join(now) + "\n")
        return 0
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
