#!/usr/bin/python3
"""The end of a night: one total over the journals of several runs, with what was found first.

  results/night.py results/runs/*/journal.jsonl

Exit code, of all runs together: 0 all agree, 1 something was found, 3 something could not be decided, 4 the bench failed or
a run did not end.
"""

import collections
import sys

import journals

FINDINGS = ("forbidden", "health", "hang", "lost")
COLUMNS = ("agree", *FINDINGS, "error", "inconclusive", "skipped")
ORDER = (1, 4, 2, 3)  # of several exit codes, the first of these counts
REASONS = {0: "all agree", 1: "something was found", 2: "bad usage or input", 3: "nothing could be decided, or not everything",
           4: "the bench itself failed"}


class Night:
    def __init__(self, paths):
        self.verdicts = []  # records, in the order in which they were made
        self.unended = []  # journals of runs that were killed
        self.runs, self.seconds = 0, 0
        codes = set()
        for path in paths:
            code, now = None, 0
            for record in journals.records(path):
                then, now = now, record.get("t", now)
                if record.get("ev") == "run":
                    code = None
                    self.runs += 1
                else:
                    self.seconds += max(0, now - then)  # a clock may be set back
                if record.get("ev") == "verdict":
                    self.verdicts.append(record)
                elif record.get("ev") == "end":
                    code = record["exit_code"]
            if code is None:
                self.unended.append(path)
            codes.add(4 if code is None else code)
        self.code = next((code for code in ORDER if code in codes), 0)


def table(verdicts):
    counts = collections.defaultdict(collections.Counter)
    for record in verdicts:
        counts[record["target"]][record["verdict"]] += 1
        counts[record["target"]]["iterations"] += record["iterations"]
    used = [each for each in COLUMNS if each == "agree" or any(row[each] for row in counts.values())] + ["iterations"]
    width = max(map(len, [*counts, "Night"]), default=8) + 2
    yield "Night".ljust(width) + "".join(each.rjust(max(len(each), 9) + 2) for each in used)
    for target, row in counts.items():
        yield ("  " + target).ljust(width) + "".join(str(row[each]).rjust(max(len(each), 9) + 2) for each in used)


def told(verdicts, kinds):
    for record in verdicts:
        if record["verdict"] in kinds:
            yield f"  {record['verdict']:<12} {record['scenario']} on {record['target']}: {record['reason']}"
            if record.get("again"):
                yield f"      Again: {record['again']}"


def by_reason(title, verdicts, kind):
    """Their numbers, and for each reason the command that repeats the first."""
    same = collections.defaultdict(list)
    for record in verdicts:
        if record["verdict"] == kind:
            same[record["reason"]].append(record)
    if same:
        yield f"{title}:"
    for reason, records in sorted(same.items(), key=lambda each: -len(each[1])):
        targets = sorted({record["target"] for record in records})
        yield f"  {len(records):5} on {targets[0] if len(targets) == 1 else f'{len(targets)} targets'}: {reason}"
        if again := records[0].get("again"):
            yield f"      Again: {again}"


def lines(night):
    yield from table(night.verdicts)
    for title, kinds in ("Found", FINDINGS), ("The bench failed", ("error",)):
        if found := list(told(night.verdicts, kinds)):
            yield from [f"{title}:", *found]
    yield from by_reason("Not decided", night.verdicts, "inconclusive")
    yield from by_reason("Skipped", night.verdicts, "skipped")
    for path in night.unended:
        yield f"Not ended: {path} (the run was killed; what it had found before is above)"
    yield f"{night.runs} run{'s' * (night.runs != 1)}, {night.seconds / 60:.0f} minutes"
    yield f"Exit {night.code}: {REASONS[night.code]}"


def main(words):
    if not words or words[0] in ("-h", "--help"):
        print(__doc__.strip())
        return 0 if words else 2
    try:
        night = Night(words)
    except OSError as error:
        print(f"results/night.py: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    print("\n".join(lines(night)))
    return night.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
