"""Bugs planted in the kernel's source: edits that are applied for one build, and taken back.

An edit names a file, a function and an anchor: a short piece of text that must occur
exactly once in that function. In the replacement, $0 is the anchor. If the source has
changed, `apply` lists the anchors that no longer fit, and changes nothing.
"""

import os
import re
import shutil
from collections import namedtuple

from common import LabError

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


class Bugs:
    """A table of mutants, each behind faultline_mutant == N, and the edits that make that switch."""

    def __init__(self, switch, mutants):
        self.switch, self.mutants = switch, mutants

    def plan(self, src):
        """Returns {path: new text} for all edits. Raises one LabError that lists all misfits."""
        texts, misfits = {}, []
        labelled = [("switch", e) for e in self.switch]
        labelled += [(f"mutant {m.number} {m.name}", e) for m in self.mutants for e in m.edits]
        for label, edit in labelled:
            try:
                if edit.path not in texts:
                    with open(os.path.join(src, edit.path), encoding="utf-8") as f:
                        texts[edit.path] = f.read()
                texts[edit.path] = edited(texts[edit.path], edit)
            except (OSError, LabError) as e:
                misfits.append(f"  {label}: {e}")
        if misfits:
            raise LabError("the mutants do not fit this source (they are written for 6.1):\n" +
                           "\n".join(misfits))
        return texts

    def recipe(self):
        """Everything that changes what is compiled, as text. Stories and names do not."""
        return DECLARATION + repr(self.switch) + repr([m.edits for m in self.mutants])

    def apply(self, src):
        """Adds all mutants to the source tree. revert() removes them."""
        for path, text in self.plan(src).items():
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
