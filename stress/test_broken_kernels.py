"""The runner of planted bugs, and one bug of amdgpu on the real driver."""

import json
import subprocess

import broken_kernels as subject
import pytest

FAULTLINE = """#!/bin/sh
echo "$FAULTLINE_LAB" > {folder}/lab
echo "$@" > {folder}/words
case "$*" in *mutant=0*) echo 'Verdict one agree (lab)'; exit 0;; esac
sleep 30 >/dev/null &
trap 'kill $!; echo "Verdict two hang (lab)"; exit 1' INT
echo '   3  *> P:a[0]=1'
echo 'Verdict one forbidden (lab, 3 iterations, seed 1)'
wait
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A tree with a faultline that finds something in each bug, and then waits for its end."""
    program = tmp_path / "build/faultline"
    program.parent.mkdir()
    program.write_text(FAULTLINE.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setattr(subject, "ROOT", tmp_path)
    return tmp_path


class Options:
    iterations, seed, targets, gpu = 5, 1, None, "--seed 3"


def test_a_bugs_run_ends_at_its_first_finding(fake):
    bug = subject.Bug(3, "some", "svm", False)
    findings, seconds, code = subject.bench(subject.DRIVERS, bug, Options, ["x.scn"], fake / "3.jsonl")
    assert findings[0][:2] == ("one", "forbidden") and findings[0].outcome == "P:a[0]=1" and code == 1 and seconds < 20
    assert "amdgpu.faultline_mutant=3 lockdep.prove_locking=0" in (fake / "words").read_text()
    assert (fake / "lab").read_text().count("--amdgpu-mutants") == 1


def test_a_flaw_of_the_gpu_has_a_healthy_driver(fake):
    flaw = next(bug for bug in subject.bugs(subject.DRIVERS) if bug.name == "gpu-drop-fault")
    findings, _, code = subject.bench(subject.DRIVERS, flaw, Options, ["x.scn"], fake / "j")
    assert not findings and code == 0
    words = (fake / "words").read_text()
    assert "faultline_mutant=0 " in words and "--lab-gpu --seed 0 --seed 3 --broken drop-fault" in words


@pytest.mark.parametrize("first, again, healthy, shows", [
    ("5 of 6", "", "", True), ("1 of 6", "9 of 60", "", True), ("1 of 6", "1 of 60", "", False),
    ("1 of 6", "", "", False), ("1 of 6", "9 of 60", "1 of 60", False),
])
def test_a_rare_finding_must_be_the_bugs(monkeypatch, tmp_path, first, again, healthy, shows):
    def bench(family, bug, *_):
        times = again if bug.number else healthy
        return ([subject.Finding("one", "forbidden", 1, "x", times)] if times else []), 1, 0
    monkeypatch.setattr(subject, "bench", bench)
    findings = [subject.Finding("one", "forbidden", 1, "x", first)]
    bug = subject.Bug(3, "some", "svm", True)
    found = subject.decided(subject.DRIVERS, bug, Options, {"one": "one.scn"}, findings, tmp_path / "j.jsonl")
    assert bool(found) == shows


def test_bugs_are_numbered_through():
    for family in (subject.KERNELS, subject.DRIVERS):
        known = subject.bugs(family)
        assert [bug.number for bug in known] == list(range(1, len(known) + 1))
    assert [bug.name for bug in known[-3:]] == ["gpu-skip-invalidate", "gpu-drop-fault", "gpu-writes-freed-page"]


def test_the_gpus_log_blames(tmp_path):
    (tmp_path / "1.jsonl.lab-gpu-1.console.gpu").write_text(f"3.1 mmhub {subject.BLAME}: vmid 1\n" * 2)
    (tmp_path / "2.jsonl.lab-gpu-1.console.gpu").write_text("3.1 mmhub invalidated vmids 0x2 engine 1\n")
    assert subject.gpus_log(tmp_path / "1.jsonl") == "hardware (2)"
    assert subject.gpus_log(tmp_path / "2.jsonl") == "-"


def test_scenarios_have_their_own_names():
    files = subject.scenario_files([str(subject.ROOT / "stress/scenarios")])
    assert files["migrate-cpu-store"].name == "cpu-store.scn" and len(files) > 200


def test_a_bug_in_amdgpu_is_caught():
    """About a minute: the healthy driver agrees, a short unmap is found, and a GPU that drops faults is blamed, whether a value shows
    it in so few iterations or not."""
    for words, makes in ((["path", "--amdgpu-mutants"], "ci/lab build --amdgpu-mutants"), (["qemu", "--path"], "ci/lab qemu")):
        if subprocess.run([subject.LAB, *words], capture_output=True, check=False).returncode:
            pytest.skip(f"not built: {makes}")
    if not (subject.ROOT / "build/softgpu").exists():
        pytest.skip("not built: ninja build/softgpu")
    known = {bug.name: bug.number for bug in subject.bugs(subject.DRIVERS)}
    run = subprocess.run([subject.ROOT / "stress/broken_kernels.py", "--drivers", "--iterations", "4", "--at-least", "1", "-t", subject.GPU + "/xnack-on/svm",
                          "--mutants", f"{known['svm-short-unmap']},{known['gpu-drop-fault']}",
                          subject.ROOT / "stress/scenarios/driver-events/gpu-fault.scn"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    path = run.stdout.split("rows: ")[1].strip()
    rows = [json.loads(line) for line in open(path, encoding="utf-8")]
    assert [row["verdict"] == "agree" for row in rows[:2]] == [True, False]
    assert [row["beside"].startswith("hardware") for row in rows] == [False, False, True]
