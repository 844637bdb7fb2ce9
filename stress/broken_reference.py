#!/usr/bin/python3
"""Is a broken reference noticed? Drops each rule of kernels_ref/mm/rules.h in turn.

A dropped rule is noticed in one of these ways:
- a claim of a scenario no longer holds
- the reference itself finds something broken: a device entry that differs from the CPU's, an access to a freed
  page, a thread that waits for ever
- outcomes that a healthy kernel showed are no longer allowed (--journal, may be given more than once)

Rules that nothing notices are listed with the reason.

Exit code: 0 if every rule is noticed or has a reason, 1 otherwise.
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path += [str(ROOT / "build/python"), str(ROOT / "results")]

import faultline  # noqa: E402
from journals import seen_in  # noqa: E402

STATES = 300_000  # a limit: a broken reference may have endlessly many states, a healthy one has some thousand

# Dropping these rules changes no answer, for these reasons.
SURVIVORS = {
    "callback-takes-lock": "what the driver's lock guards, looking up an entry and using it, is one step of the "
                           "reference except for pages on the device, and those leave without the callback",
    "hmm-checks-sequence": "an early way out: read_retry under the driver's lock finds the same collision",
}


def noticed(rule, scenarios, seen):
    """The first way in which dropping the rule is noticed, or None."""
    for path, text in scenarios:
        allowed = faultline.predict(faultline.parse(text, str(path)), states=STATES, without=[rule])
        for claim in allowed.claims:
            if claim["state"] == "refuted":
                return f"claim of {path.stem}: {claim['claim']}"
        if allowed.findings:
            return f"reference, on {path.stem}: {allowed.findings[0]}"
    for (text, target), outcomes in seen.items():
        program = faultline.parse(text, "journal")
        allowed = faultline.predict(program, device_class=target.device_class, states=STATES, without=[rule])
        if allowed.complete and faultline.judge(program, allowed, outcomes) == "forbidden":
            return f"healthy run of {program.name} ({target})"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", action="append", default=[], help="journal.jsonl of a run on a healthy kernel")
    parser.add_argument("--rule", action="append", help="only this one (default: all)")
    options = parser.parse_args()
    rules = faultline.rules()
    for rule in options.rule or []:
        if rule not in rules:
            parser.error(f"--rule: there is no rule '{rule}'; they are: {', '.join(rules)}")

    scenarios = [(p, p.read_text()) for p in sorted((ROOT / "stress/scenarios").rglob("*.scn"))]
    seen = seen_in(options.journal)
    unexplained = 0
    survivors = []
    for rule in options.rule or rules:
        how = noticed(rule, scenarios, seen)
        print(f"{rule:27} {how or 'NOT NOTICED'}", flush=True)
        if not how:
            survivors.append(rule)
            unexplained += rule not in SURVIVORS
    print(f"noticed {len(options.rule or rules) - len(survivors)} of {len(options.rule or rules)} rules")
    for rule in survivors:
        print(f"survives: {rule}: {SURVIVORS.get(rule, 'no reason known: a scenario is missing')}")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
