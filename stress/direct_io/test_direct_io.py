"""The experiments agree in the lab, their controls change the answers, and wrong answers are noticed."""

import importlib.util
import json
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("direct_io_run", pathlib.Path(__file__).with_name("run.py"))
subject = importlib.util.module_from_spec(spec)
spec.loader.exec_module(subject)


@pytest.fixture(scope="module")
def table():
    """The experiments by name, as the program lists them."""
    listed = subprocess.run([ROOT / "build/direct-io", "--list"], check=True, capture_output=True, text=True).stdout
    return {line["experiment"]: line for line in map(json.loads, listed.splitlines())}


def answered(table, column, **other):
    """The output of a kernel of that kind, except for the answers in `other` (underscores for hyphens)."""
    changed = {name.replace("_", "-"): answer for name, answer in other.items()}
    return [{"kernel": "6.1.0-x"}] + [line | {"answers": {changed.get(name, line[column]): 2}, "log": []}
                                      for name, line in table.items()]


def forbidden(lines):
    return [line["experiment"] for line, verdict in subject.judge(lines) if verdict == "forbidden"]


def test_controls_change_the_answer(table):
    controls = [line for line in table.values() if line["control_of"]]
    assert all(line["references"] != table[line["control_of"]]["references"] for line in controls)
    controlled = {line["control_of"] for line in controls}
    assert controlled >= {"read-fork-parent-writes", "write-fork-parent-writes", "writeback-in-flight",
                          "reclaim-in-flight", "truncate-in-flight", "punch-in-flight"}


def test_claims_name_experiments_of_theirs(table):
    text = subprocess.run([ROOT / "build/faultline", "claims", "2", "3"], capture_output=True, text=True).stdout
    named = re.findall(r"^(\d\.\d)  |^     experiment +(\S+)$", text, re.M)
    pairs = [(before[0], name) for before, (_, name) in zip(named, named[1:]) if name]
    assert pairs.pop(0) == ("2.1", "who-waits")
    assert len(pairs) == 4 and all(table[name]["claim"] == claim for claim, name in pairs)


@pytest.mark.parametrize("column", ["references", "pins"])
def test_one_kind_of_kernel_explains_all(table, column):
    assert forbidden(answered(table, column)) == []
    assert f"O_DIRECT takes {column}" in subject.text_of(answered(table, column))


def test_other_answers_are_forbidden(table):
    lost = answered(table, "references", truncate_in_flight="result -14; memory zero+zero")
    assert forbidden(lost) == ["truncate-in-flight"]
    # Mixed kinds: a kernel that copies pinned pages at fork, and yet sends the old page.
    mixed = answered(table, "pins", write_fork_parent_writes=table["write-fork-parent-writes"]["references"])
    assert forbidden(mixed) == ["write-fork-parent-writes"]
    slow = answered(table, "references", truncate_in_flight=subject.TOO_SLOW)
    assert forbidden(slow) == [] and [v for _, v in subject.judge(slow)].count("inconclusive") == 1
    twice = answered(table, "references")
    twice[1]["answers"]["parent old+old, child old+old"] = 1
    assert "read-fork-parent-writes" in forbidden(twice)


def waited(**done_in_flight):
    """Lines of waits. `done_in_flight` says which ones did not wait for the transfer."""
    return [{"wait": who, "memory": "private memory", "ended_in_flight": done_in_flight.get(key, default),
             "times": [{"delay_ms": 0, "took_ms": 1.0, "result": ""}]}
            for who, key, default in (("fork()", "fork", True), ("io_destroy()", "io_destroy", False))]


def test_who_must_wait_and_does_not_is_forbidden(table):
    assert subject.judge_waits(answered(table, "references")) is None
    assert subject.judge_waits(waited()) == ("agree", "until its end wait io_destroy(); not fork()")
    assert subject.judge_waits(waited(fork=False))[0] == "agree"
    assert subject.judge_waits(waited(io_destroy=True))[0] == "forbidden"
    assert "io_destroy()" in subject.text_of(answered(table, "references") + waited())


def test_the_journal_is_what_claims_read(table, tmp_path):
    subject.journal(answered(table, "references", read_no_fork="parent old+cpu") + waited(), tmp_path / "run")
    lines = [json.loads(line) for line in open(tmp_path / "run/journal.jsonl")]
    assert {line["scenario"]: line["verdict"] for line in lines}["read-no-fork"] == "forbidden"
    assert lines[-1]["scenario"] == "who-waits" and lines[-1]["verdict"] == "agree"
    assert lines[0]["saw"] == "parent old+cpu, child file+old" and lines[0]["iterations"] == 2


def test_the_labs_kernel(table):
    if subprocess.run([ROOT / "ci/lab", "path"], capture_output=True).returncode:
        pytest.skip("the lab's kernel is not built: ci/lab build")
    lines = subject.observe(1)
    assert set(subject.verdicts(lines)) == {"agree"}, subject.text_of(lines)
    seen = {line["experiment"]: line for line in lines if "experiment" in line}
    assert list(seen) == list(table)
    # The file system complains about the lost write, and about no other.
    complained = {name for name, line in seen.items() if any("does not have buffers" in words for words in line["log"])}
    assert complained == ({"reclaim-in-flight"} if subject.kind(list(seen.values())) == "references" else set())
    waits = {line["wait"] + ", " + line["memory"]: line for line in lines if "wait" in line}
    # All others ended while the transfer was in flight, which took up to five seconds.
    assert {line["wait"] for line in waits.values() if not line["ended_in_flight"]} == subject.MUST_WAIT
    for time in waits["migration to a device, private memory"]["times"][1:3]:
        assert time["result"] == "not migrated" or time["took_ms"] > time["delay_ms"]
