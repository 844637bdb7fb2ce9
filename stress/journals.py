"""What runs of faultline saw, from their journals."""

import json

CLASSES = {"dmirror": "recoverable", "host": "shares-cpu-tables", "pinned": "pinned", "opencl": "fatal-faults"}


def kind(target):
    """'host' of 'lab:host', 'opencl' of 'debian13:opencl:pocl/0'."""
    return next(word for word in target.split(":") if word in CLASSES)


def seen_in(journals):
    """{(scenario text, kind of target): [outcome as {key: text}]}, each outcome once."""
    seen = {}
    for path in journals:
        texts = {}
        for line in open(path):
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue  # the last line of a run that was killed
            key = record.get("scenario"), record.get("target")
            if record.get("ev") == "scenario":
                texts[key] = record
            elif record.get("ev") == "batch" and key in texts:
                rows = seen.setdefault((texts[key]["text"], kind(record["target"])), [])
                for outcome in record["outcomes"]:
                    row = dict(zip(texts[key]["schema"], outcome["texts"]))
                    if row not in rows:
                        rows.append(row)
    return seen
