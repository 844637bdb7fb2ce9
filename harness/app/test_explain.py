"""The commands that say why: explain, claims, score."""

import json
import re

import pytest

from command_line import ROOT, faultline

FORK = """scenario fork
  "A store before the fork shows in the child, one behind it does not."
process P
  a: 1 page anon rw = 0
thread P.cpu
  store a[0] 1
  fork C
  store a[0] 2
process C
  r0 = load a[0]
always C:r0 = 1
"""


def test_explain_shows_a_schedule_and_what_forbids(folder):
    (folder / "fork.scn").write_text(FORK)
    allowed = faultline(folder, "explain", "--class", "shares-cpu-tables", "fork.scn", "C:r0 = 1")
    assert allowed.returncode == 0
    assert "Allowed. A shortest schedule:" in allowed.stdout and "C:r0=1\n" in allowed.stdout
    assert allowed.stdout.index("store a[0] 1") < allowed.stdout.index("fork C") < allowed.stdout.index("r0 = load a[0]")
    forbidden = faultline(folder, "explain", "fork.scn")
    assert "Condition not C:r0 = 1\nForbidden by" in forbidden.stdout
    assert "cow-keeps-shared-page" in forbidden.stdout
    without = faultline(folder, "explain", "--without", "cow-keeps-shared-page", "fork.scn", "C:r0 = 2")
    assert "Allowed. A shortest schedule:" in without.stdout and "C:r0=2\n" in without.stdout


def test_explain_says_what_is_wrong_with_a_condition(folder):
    (folder / "fork.scn").write_text(FORK)
    bad = faultline(folder, "explain", "fork.scn", "C:r9 = 1")
    assert bad.returncode == 2 and "did you mean 'r0'" in bad.stderr and "^" in bad.stderr
    rule = faultline(folder, "explain", "--without", "fork-notify", "fork.scn")
    assert rule.returncode == 2 and rule.stderr == "faultline: unknown rule 'fork-notify'; did you mean 'fork-notifies'?\n"


def test_claims_are_decided_and_flip():
    every = faultline(ROOT, "claims")
    assert every.returncode == 0, every.stdout[-2000:]
    assert every.stdout.splitlines()[-1] == "31 claims: 31 as expected, 0 not, 0 undecided"
    assert every.stdout.count("\n     flips  ") >= 31
    assert "DOES NOT FLIP" not in every.stdout


def test_one_claim_shows_its_schedules():
    one = faultline(ROOT, "claims", "4.1")
    assert one.returncode == 0
    assert "found      holds: use after free\n" in one.stdout
    assert "mmu_interval_notifier_find" in one.stdout and " 1  " in one.stdout
    thread = faultline(ROOT, "claims", "4")
    assert thread.stdout.splitlines()[-1].startswith("6 claims: ")


def test_a_claim_on_another_kernel_is_not_as_expected():
    other = faultline(ROOT, "claims", "--with", "find-keeps-tree-locked", "4.1")
    assert other.returncode == 1
    assert "DOES NOT FLIP with find-keeps-tree-locked" in other.stdout
    assert other.stdout.splitlines()[-1] == "1 claim: 0 as expected, 1 not, 0 undecided"


def test_claims_say_what_kernels_showed(tmp_path):
    """The newest verdict for each target. Runs without a verdict do not count."""
    for name in ("build", "stress"):
        (tmp_path / name).symlink_to(ROOT / name)
    run = tmp_path / "results/runs/20260101-000000"
    run.mkdir(parents=True)
    verdict = {"ev": "verdict", "scenario": "fork-device-write-after", "target": "lab:dmirror", "kernel": "6.1.0 (lab)",
               "verdict": "agree", "iterations": 12}
    skipped = verdict | {"target": "host", "verdict": "skipped"}
    experiment = verdict | {"scenario": "reclaim-in-flight", "target": "lab:direct-io", "saw": "disk old"}
    lines = [json.dumps(line, separators=(",", ":")) for line in (verdict, skipped, experiment)]
    (run / "journal.jsonl").write_text("\n".join(lines) + "\n{\"ev\": \"verd")
    seen = faultline(tmp_path, "claims", "3.1", FAULTLINE_ROOT=str(tmp_path))
    assert "kernel     agree on lab:dmirror, Linux 6.1.0, 12 iterations\n" in seen.stdout
    seen = faultline(tmp_path, "claims", "2.2", FAULTLINE_ROOT=str(tmp_path))
    assert "kernel     agree on lab:direct-io, Linux 6.1.0, 12 iterations: disk old\n" in seen.stdout


@pytest.mark.parametrize(("words", "says"), [
    (["9"], "unknown claim '9'; 'faultline claims' lists them"),
    (["--with", "no-read-rety", "4"], "unknown variant 'no-read-rety'; did you mean 'no-read-retry'?"),
    (["--with", "x", "4"], "unknown variant 'x'; 'faultline claims --variants' lists them"),
])
def test_claims_bad_input(words, says):
    bad = faultline(ROOT, "claims", *words)
    assert (bad.returncode, bad.stderr) == (2, f"faultline: {says}\n")


def test_variants_are_listed():
    listed = faultline(ROOT, "claims", "--variants")
    assert listed.returncode == 0 and "no-read-retry\n    the driver programs" in listed.stdout


def test_score_of_the_reference():
    table = faultline(ROOT, "score", "--reference")
    assert table.returncode == 0, table.stdout
    assert re.fullmatch(r"(\d+) of \1 caught", table.stdout.splitlines()[-1])
    assert "NOT CAUGHT" not in table.stdout and "FALSE ALARM" not in table.stdout
    assert faultline(ROOT, "score").returncode == 2


def test_explain_shows_executions_of_the_memory_model(folder):
    text = (ROOT / "stress/scenarios/svm/message-passing.scn").read_text()
    (folder / "mp.scn").write_text(text)
    forbidden = faultline(folder, "explain", "mp.scn", "P.gpu:r0 = 1 and P.gpu:r1 = 0")
    assert forbidden.returncode == 0
    assert "Forbidden by release-synchronises, memory-is-coherent\n" in forbidden.stdout
    assert "P.gpu: r1 = load a[0] relaxed  reads from  the initial value\n" in forbidden.stdout
    allowed = faultline(folder, "explain", "mp.scn", "P.gpu:r0 = 1")
    assert "Allowed. A possible execution:\n  P.gpu: r0 = load a[1] acquire  reads from  P.cpu: store a[1] 1 release\n" in allowed.stdout
