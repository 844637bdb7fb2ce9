"""What runs of faultline saw, from their journals."""

import json
import typing

# Of targets whose family has only one.
CLASSES = {"dmirror": "recoverable", "host": "shares-cpu-tables", "nouveau": "recoverable", "opencl": "fatal-faults",
           "pinned": "pinned"}
PLACES = ("lab", "debian13")


class Kind(typing.NamedTuple):
    """Targets that show the same: their name without place and device, and the class of their devices."""
    name: str
    device_class: str

    def __str__(self):
        return self.name if CLASSES.get(self.name) == self.device_class else f"{self.name} ({self.device_class})"


def parts(word):
    """('debian13', 'opencl:pocl/0') of 'debian13:opencl:pocl/0'."""
    place, colon, name = word.partition(":")
    return (place, name) if colon and place in PLACES else ("", word)


def named(word, name):
    """Whether the word of a target is its name, or begins it."""
    return name.startswith(word) and name[len(word):len(word) + 1] in ("", ":", "/")


def kind(word, machines):
    """The Kind of a target, by what the machines {place: hello} of the journal say of it."""
    place, name = parts(word)
    family = name.partition(":")[0]
    here = (place,) if place else ("", "opencl")
    told = [target for each in here for target in machines.get(each, {}).get("targets", []) if named(name, target["name"])]
    # As the run chooses: the one of that name, else the first that is there.
    told.sort(key=lambda target: (target["name"] != name, not target["available"]))
    if told:
        return Kind(family, told[0]["capabilities"]["class"].replace("_", "-"))
    if family not in CLASSES:
        raise ValueError(f"the class of {word} is not known: the journal has no machine's hello that names it")
    return Kind(family, CLASSES[family])


def seen_in(journals):
    """{(scenario text, Kind of target): [outcome as {key: text}]}, each outcome once."""
    seen = {}
    for path in journals:
        texts, machines = {}, {}
        for line in open(path):
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue  # the last line of a run that was killed
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
