"""unseen.py lists outcomes that were not seen, with the reason if one is known."""
import json
import subprocess

import unseen as subject
from journals import CLASSES
from unseen_reasons import REASONS

STALE = (subject.ROOT / "stress/scenarios/races/dontneed-stale-load.scn").read_text()
SCHEMA = ["P.drop:#1", "P.user:#1", "P.user:r0", "P.user:g0", "P:a[0]"]


def journal(path, *outcomes):
    records = [{"ev": "scenario", "scenario": "dontneed-stale-load", "target": "host", "text": STALE, "schema": SCHEMA},
               {"ev": "batch", "scenario": "dontneed-stale-load", "target": "host",
                "outcomes": [{"texts": outcome} for outcome in outcomes]}]
    path.write_text("\n".join(map(json.dumps, records)) + "\n{\"ev\": \"bat")
    return path


def run(*journals):
    return subprocess.run([subject.ROOT / "results/unseen.py", *journals], capture_output=True, text=True, check=False)


SEEN = [["ok", "ok", "6", "6", "6"], ["ok", "ok", "6", "6", "zero"], ["ok", "ok", "zero", "zero", "zero"]]


def test_what_was_not_seen_has_its_reason(tmp_path):
    said = run(journal(tmp_path / "j", *SEEN))
    assert said.returncode == 0, said.stdout
    assert "dontneed-stale-load on host: 3 of 8 seen\n" in said.stdout
    assert said.stdout.endswith("host: 3 of 8 allowed outcomes seen (38 %), 5 explained, 0 not\n")


def test_what_has_no_reason_is_found(tmp_path):
    said = run(journal(tmp_path / "j", *SEEN[1:]))
    assert said.returncode == 1
    assert "P.user:g0=6 P.user:r0=6 P:a[0]=6\n    NO REASON KNOWN\n" in said.stdout
    assert run(journal(tmp_path / "a", *SEEN[1:]), journal(tmp_path / "b", SEEN[0])).returncode == 0


def test_every_reason_is_about_something_allowed():
    texts = {subject.faultline.parse(path.read_text(), str(path)).name: path.read_text()
             for path in (subject.ROOT / "stress/scenarios").rglob("*.scn")}
    for name, targets, wanted, _ in REASONS:
        for target in targets:
            program = subject.faultline.parse(texts[name], name)
            allowed = subject.faultline.predict(program, device_class=CLASSES[target]).outcomes
            assert any(subject.reason(name, target, outcome) for outcome in allowed), (name, target, wanted)
