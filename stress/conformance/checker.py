"""Runs random programs on one target and compares the outcomes with the reference's predictions."""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, Verbosity, errors, given, seed as with_seed, settings

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "build" / "python"))
sys.path.append(str(Path(__file__).resolve().parent))

import faultline  # noqa: E402
import programs  # noqa: E402
import strategies  # noqa: E402

# A program in which one thread runs at a time has a few hundred states. More means that the reference is wrong.
MOST_STATES = 1_000_000
TARGETS = ["host", "pinned", "dmirror", "lab:host", "lab:pinned", "lab:dmirror"]


class Difference(Exception):
    """A program that did not go as predicted."""

    def __init__(self, script: programs.Script, verdict: str, text: str):
        super().__init__(verdict)
        self.script = script
        self.verdict = verdict  # as in `faultline run`, or "reference"
        self.text = text  # the difference, for people to read


class BadInput(ValueError):
    """No such target or rule."""


def _unknown(what: str, word: str, known: list[str]) -> BadInput:
    close = difflib.get_close_matches(word, known, 1)
    return BadInput(f"unknown {what} '{word}'" + (f"; did you mean '{close[0]}'?" if close else ""))


class Checker:
    """One target on a machine that keeps running, with counts of what was tried."""

    def __init__(self, target: str, *, kernel: str = "", append: str = "", iterations: int = 2,
                 without: tuple[str, ...] = (), journal=None):
        self.target = target
        if target not in TARGETS:
            raise _unknown("target", target, TARGETS)
        for rule in without:
            if rule not in faultline.rules():
                raise _unknown("rule", rule, faultline.rules())
        self.iterations = iterations
        self.without = list(without)
        self.journal = journal  # called with a dict for each program
        place, _, name = target.rpartition(":")
        self.machine = faultline.Machine(place, kernel, append)
        capabilities = self.machine.hello["targets"][name]
        if not capabilities["available"]:
            self.machine.close()
            raise BadInput(f"the target {target} is not here: {capabilities['why']}")
        self.device_class = capabilities["device_class"]
        self.kinds = programs.kinds_of(capabilities)
        self.kernel = self.machine.hello["kernel"]
        self.counts: Counter[str] = Counter()  # programs by result
        self.bugs: Counter[str] = Counter()  # programs that were not run, by the known bug that they would hit
        self.pairs: Counter[tuple[str, str]] = Counter()  # neighbouring operations, of programs that agreed
        self.statements = 0
        self.allowed = 0  # outcomes, of programs that agreed

    def close(self) -> None:
        self.machine.close()

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, draft: programs.Draft) -> None:
        """Raises Difference."""
        script = programs.script(draft)
        if script.done:
            self.check_script(script)

    def check_script(self, script: programs.Script) -> None:
        how = "interrupted"
        try:
            how = self._check(script)
        except Difference:
            how = "different"
            raise
        finally:
            self.counts[how] += 1
            if self.journal:
                self.journal({"record": "program", "how": how, "text": script.text})

    def _check(self, script: programs.Script) -> str:
        try:
            program = faultline.parse(script.text)
        except faultline.ParseError as error:
            if programs.is_too_large(error):
                return "too large"
            raise
        try:
            allowed = faultline.predict(program, self.device_class, MOST_STATES)
            if self.without:
                allowed = faultline.predict(program, self.device_class, MOST_STATES, self.without)
        except faultline.ParseError as error:
            if programs.waits_for_ever(error):
                return "waits"
            raise
        if allowed.findings and not allowed.known_bugs:
            raise Difference(script, "reference", "the reference says: " + "; ".join(allowed.findings) + "\n")
        if not allowed.complete:
            return "too many states"
        result = faultline.run(program, self.target, iterations=self.iterations, seed=1, machine=self.machine,
                               allowed=allowed)
        if result["verdict"] == "agree":
            kinds = [kind for kind, _, _ in script.done]
            self.pairs.update(zip(kinds, kinds[1:]))
            self.statements += len(kinds)
            self.allowed += len(allowed)
            return "agree"
        if result["verdict"] == "skipped" and allowed.known_bugs:  # kernel and target have the bug
            self.bugs.update(allowed.known_bugs)
            return "known bug"
        if result["verdict"] in ("skipped", "inconclusive"):
            return result["verdict"]
        raise Difference(script, result["verdict"], explain(program, allowed, result))

    def seldom(self, number: int) -> list[tuple[str, str]]:
        """Pairs of neighbouring operations that were tried less than `number` times, the rarest first."""
        pairs = [(first, second) for first in self.kinds for second in self.kinds
                 if programs.together(first, second)]
        return sorted((pair for pair in pairs if self.pairs[pair] < number), key=self.pairs.__getitem__)

    def find_difference(self, count: int, seed: int, around: tuple[str, str] | None = None) -> Difference | None:
        """Draws and checks `count` programs. Returns the smallest difference that was found. `around`: two operations that
        all programs have as neighbours."""
        smallest: Difference | None = None

        @with_seed(seed)
        @settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
                  suppress_health_check=list(HealthCheck), verbosity=Verbosity.quiet, report_multiple_bugs=False)
        @given(strategies.drafts(self.kinds, self.device_class, around))
        def attempt(draft: programs.Draft) -> None:
            nonlocal smallest
            try:
                self.check(draft)
            except Difference as difference:
                if smallest is None or len(difference.script.text) <= len(smallest.script.text):
                    smallest = difference
                raise

        try:
            attempt()
        except (Difference, errors.Flaky):  # Flaky: a program differed once and then agreed
            return smallest
        return None


def explain(program, allowed, result: dict) -> str:
    """For each forbidden outcome the differences from the nearest allowed one; and whatever else went wrong."""
    text = ""
    for seen in result["not_allowed"]:
        nearest = min(allowed.outcomes, key=lambda outcome: sum(outcome[key] != seen[key] for key in seen))
        text += f"  {'of':40} {'predicted':>12} {'seen':>12}\n"
        for key in seen:
            if seen[key] != nearest[key]:
                text += f"  {_said(program, key):40} {nearest[key]:>12} {seen[key]:>12}\n"
        text += f"  ({len(allowed)} outcome{'s' * (len(allowed) != 1)} allowed; this is the nearest)\n"
    for key in ("health", "hang", "threads", "lost", "words", "error", "reason"):
        value = result[key]
        if value and not (key == "reason" and text):
            lines = value if isinstance(value, list) else [value]
            text += "".join(f"  {key}: {line}\n" for line in lines)
    return text


def _said(program, key: str) -> str:
    """The key of an observable, with the statement that it belongs to."""
    name, _, rest = key.partition(":#")
    number = rest.partition(".")[0]
    if not number.isdigit():
        return key
    return f"{key}  {program.threads[name][int(number) - 1].strip()}"
