"""The picture of a storm: what it draws, and what it refuses."""

import json
import subprocess
import xml.etree.ElementTree

import storm_picture

TOOL = storm_picture.__file__


def storm(rows):
    return {"ev": "storm", "round": 1, "idle": False, "rows": rows, "counts": {}, "levels": {}, "wrong": []}


def row(call, queue, counts, longest):
    return {"call": call, "queue": queue, "durations": {"longest_ns": longest, "counts": counts}}


def journal(folder, *records):
    path = folder / "journal.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def draw(path):
    out = path.with_suffix(".svg")
    done = subprocess.run([TOOL, path, "-o", out], capture_output=True, text=True, check=False)
    return done, out


def test_durations_have_the_classes_of_times_h():
    assert [storm_picture.end_of(i) for i in (0, 3, 4, 5, 7, 8, 12)] == [0, 3, 4, 5, 7, 9, 19]
    assert storm_picture.quantile({4: 9, 12: 1}, 17, 0.5) == 4
    assert storm_picture.quantile({4: 9, 12: 1}, 17, 1) == 17


def test_a_panel_for_each_call(tmp_path):
    run = {"ev": "run", "storm": "fault", "target": "lab:dmirror", "seconds": 60, "threads": 256}
    rows = [row("munmap", 0, [[60, 5]], 40_000), row("munmap", 8, [[90, 5]], 7_000_000), row("a<b", 3, [[60, 1]], 40_000)]
    done, out = draw(journal(tmp_path, run, storm(rows), storm([row("munmap", 0, [[61, 2]], 50_000)])))
    assert done.returncode == 0, done.stderr
    text = out.read_text()
    xml.etree.ElementTree.fromstring(text)
    assert "storm fault on lab:dmirror, 60 s, up to 256 accesses" in text
    assert "a&lt;b" in text and "12 calls" in text and text.count("<polyline") == 8


def test_a_journal_without_a_storm_is_refused(tmp_path):
    done, out = draw(journal(tmp_path, {"ev": "run"}))
    assert done.returncode == 1 and "no storm in this journal" in done.stderr and not out.exists()
    done, _ = draw(tmp_path / "none.jsonl")
    assert done.returncode == 1 and "No such file" in done.stderr
