"""Reads from journals which outcomes runs of faultline saw."""

import json
import typing

# The device classes of target families that have only one class.
CLASSES = {"dmirror": "recoverable", "host": "shares-cpu-tables", "nouveau": "recoverable", "opencl": "fatal-faults",
           "pinned": "pinned"}
MACHINES = {"": ("", "opencl"), "lab": ("lab", "lab-gpu"), "debian13": ("debian13",)}  # of a place (TargetWord::machine())


class Kind(typing.NamedTuple):
    """A kind of target, for targets with the same allowed outcomes: the family's name, and its device class."""
    name: str
    device_class: str

    def __str__(self):
        return self.name if CLASSES.get(self.name) == self.device_class else f"{self.name} ({self.device_class})"


def parts(word):
    """Splits 'debian13:opencl:pocl/0' into ('debian13', 'opencl:pocl/0')."""
    place, colon, name = word.partition(":")
    return (place, name) if colon and place in MACHINES else ("", word)


def named(word, name):
    """Whether `word` is the target's name or the first part of it."""
    return name.startswith(word) and name[len(word):len(word) + 1] in ("", ":", "/")


def kind(word, machines):
    """The Kind of a target, from the hellos {place: hello} of the journal's machines."""
    place, name = parts(word)
    family = name.partition(":")[0]
    told = [target for each in MACHINES[place] for target in machines.get(each, {}).get("targets", []) if named(name, target["name"])]
    # Choose as the run does: the target of that name, otherwise the first available one.
    told.sort(key=lambda target: (target["name"] != name, not target["available"]))
    if told:
        return Kind(family, told[0]["capabilities"]["class"].replace("_", "-"))
    if family not in CLASSES:
        raise ValueError(f"the class of {word} is not known: the journal has no machine's hello that names it")
    return Kind(family, CLASSES[family])


def records(path):
    """The records of a journal, without what a run that was killed left of a line."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(record, dict):
                yield record


def seen_in(journals):
    """Returns {(scenario text, Kind of target): [outcome as {key: text}]}, without duplicates."""
    seen = {}
    for path in journals:
        texts, machines = {}, {}
        for record in records(path):
            key = record.get("scenario"), record.get("target")
            if record.get("ev") == "machine" and record["event"] == "hello":
                machines[record["place"]] = record["hello"]
            elif record.get("ev") == "scenario":
                texts[key] = record
            elif record.get("ev") == "batch" and key in texts:
                rows = seen.setdefault((texts[key]["text"], kind(record["target"], machines)), [])
                for outcome in record["outcomes"]:
                    row = dict(zip(texts[key]["schema"], outcome["texts"]))
                    if row not in rows:
                        rows.append(row)
    return seen
