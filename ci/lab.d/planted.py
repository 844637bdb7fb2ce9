"""Bugs planted in the kernel's source: edits that are applied for one build, and taken back.

An edit names a file, a function and an anchor: a short piece of text that must occur
exactly once in that function. In the replacement, $0 is the anchor. Where the source of another
version does not fit a mutant, that version's own edits are tried. `apply` says which mutants are
left out, with the anchors that do not fit.
"""

import os
import re
import shutil
from collections import namedtuple

from common import LabError, note

Edit = namedtuple("Edit", "path function anchor replacement")
Mutant = namedtuple("Mutant", "number name part race story edits")

SAVED = ".healthy"

# Every changed file gets this as its first line. A declaration in a header would recompile half of the kernel.
DECLARATION = "extern int faultline_mutant;\n"


def bodies_of(text, function):
    """The [(start, end)] of a function's definitions; with #ifdef there may be several. Kernel
    style makes this simple: a definition and its last brace start in column 0."""
    heads = re.finditer(rf"^(?=\w).*?\b{re.escape(function)}\([^;{{]*?\)"
                        r"(?:\s*__\w+\([^)]*\))*\n\{", text, re.M)
    return [(m.start(), text.index("\n}\n", m.end()) + 2)
            for m in heads if "\n\n" not in m.group(0)]


def edited(text, edit):
    """The text with one edit applied. Raises LabError if the edit does not fit."""
    spans = bodies_of(text, edit.function) if edit.function else [(0, len(text))]
    where = f"{edit.path}, {edit.function or 'whole file'}"
    if not spans:
        raise LabError(f"{where}: no such function")
    count = sum(text[start:end].count(edit.anchor) for start, end in spans)
    if count != 1:
        raise LabError(f"{where}: the anchor {edit.anchor!r} is there {count} times, not once")
    at = next(text.index(edit.anchor, start) for start, end in spans
              if edit.anchor in text[start:end])
    after = text[at + len(edit.anchor):]
    return text[:at] + edit.replacement.replace("$0", edit.anchor) + after


def planned(src, edits, before):
    """{path: new text}: `before`, and these edits, all of them. Raises LabError if one does not fit."""
    texts = dict(before)
    for edit in edits:
        if edit.path not in texts:
            try:
                with open(os.path.join(src, edit.path), encoding="utf-8") as f:
                    texts[edit.path] = f.read()
            except OSError as e:
                raise LabError(f"{edit.path}: {e.strerror}") from e
        texts[edit.path] = edited(texts[edit.path], edit)
    return texts


def listed(misfits):
    return "\n".join(f"  {label}: {why}" for label, why in misfits.items())


class Bugs:
    """A table of mutants, each behind faultline_mutant == N, and the edits that make that switch.
    `elsewhere`: {number: the edits of that mutant for newer kernels}."""

    def __init__(self, switch, mutants, elsewhere=None):
        self.switch, self.mutants, self.elsewhere = switch, mutants, elsewhere or {}

    def plan(self, src):
        """Returns {path: new text} and {label: why it does not fit}, in which a mutant stands that is left out.
        Raises LabError if the switch does not fit, or no mutant does."""
        texts, misfits = planned(src, self.switch, {}), {}
        for m in self.mutants:
            alternatives = [m.edits, *([self.elsewhere[m.number]] if m.number in self.elsewhere else [])]
            for edits in alternatives:
                try:
                    texts = planned(src, edits, texts)
                    misfits.pop(f"{m.number} {m.name}", None)
                    break
                except LabError as e:
                    misfits.setdefault(f"{m.number} {m.name}", str(e))
        if len(misfits) == len(self.mutants):
            raise LabError("no mutant fits this source (they are written for 6.1):\n" + listed(misfits))
        return texts, misfits

    def recipe(self):
        """Everything that changes what is compiled, as text. Stories and names do not."""
        return DECLARATION + repr(self.switch) + repr([m.edits for m in self.mutants]) + repr(self.elsewhere)

    def apply(self, src):
        """Adds the mutants that fit to the source tree, and says which do not. revert() removes them."""
        texts, misfits = self.plan(src)
        if misfits:
            note(f"{len(misfits)} of {len(self.mutants)} mutants do not fit this source and are left out:\n" + listed(misfits))
        for path, text in texts.items():
            full = os.path.join(src, path)
            shutil.copy2(full, full + SAVED)
            with open(full, "w", encoding="utf-8") as f:
                f.write(DECLARATION + text)

    def table(self):
        lines = [f"{'N':>2}  {'name':28} {'part':9} race  story"]
        for m in self.mutants:
            lines.append(f"{m.number:2}  {m.name:28} {m.part:9} {'yes' if m.race else '-':4}  "
                         f"{m.story}")
        return "\n".join(lines)


def revert(src):
    """Restores every changed file, of whatever table, with its old time."""
    for at, _, names in os.walk(src):
        for name in names:
            if name.endswith(SAVED):
                full = os.path.join(at, name)
                os.replace(full, full.removesuffix(SAVED))
