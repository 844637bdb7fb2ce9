#!/usr/bin/python3
"""Lists the outcomes that are allowed but were never seen, and why.

Reads journals of runs (results/runs/*/journal.jsonl). For every scenario and kind of target in them, it predicts the
allowed outcomes. Hits and faults of device accesses are ignored, because a kernel decides them freely. For each
outcome that no run showed, it looks up the reason in unseen_reasons.py. An outcome without a reason is either rare or
impossible. If it is impossible, the reference should not allow it: 'faultline explain SCENARIO CONDITION' shows how it
would come about.

Exit code: 0 when every outcome was seen or has a reason, 1 otherwise.
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "build/python"))

import faultline  # noqa: E402
from journals import seen_in  # noqa: E402
from unseen_reasons import REASONS  # noqa: E402


def without_weather(outcome):
    return tuple(sorted((key, text) for key, text in outcome.items() if not key.endswith(".faults")))


def reason(name, target, outcome):
    """The known reason why this kind of target does not show the outcome, or None."""
    for scenario, targets, texts, why in REASONS:
        if scenario == name and target in targets and all(outcome.get(key) in values.split("|")
                                                          for key, values in texts.items()):
            return why
    return None


def unseen(text, kind, rows):
    """Returns (the scenario's name, number of allowed outcomes, [allowed outcomes that are not in rows, as {key: text}])."""
    program = faultline.parse(text, "journal")
    allowed = faultline.predict(program, device_class=kind.device_class)
    if not allowed.complete:
        return program.name, 0, []
    keys = {key for row in rows for key in row}
    projected = {without_weather({key: value for key, value in outcome.items() if key in keys})
                 for outcome in allowed.outcomes}
    missing = projected - {without_weather(row) for row in rows}
    return program.name, len(projected), [dict(outcome) for outcome in sorted(missing)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("journal", nargs="+", help="journals of runs, in any order")
    seen = seen_in(parser.parse_args().journal)
    totals, unexplained = {}, 0
    for (text, target), rows in sorted(seen.items(), key=lambda item: (item[0][1], item[0][0])):
        name, allowed, missing = unseen(text, target, rows)
        total = totals.setdefault(target, [0, 0, 0])
        total[0] += allowed - len(missing)
        total[1] += allowed
        if missing:
            print(f"{name} on {target}: {allowed - len(missing)} of {allowed} seen")
        for outcome in missing:
            why = reason(name, target.name, outcome)
            print("  " + " ".join(f"{key}={value}" for key, value in outcome.items() if ":#" not in key))
            print(f"    {why or 'NO REASON KNOWN'}")
            total[2] += bool(why)
            unexplained += not why
    for target, (shown, allowed, explained) in sorted(totals.items()):
        print(f"{target}: {shown} of {allowed} allowed outcomes seen ({100 * shown / max(allowed, 1):.0f} %), "
              f"{explained} explained, {allowed - shown - explained} not")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
