"""Journals of all targets can be read."""

import json
import re
import subprocess

import pytest

import journals as subject
import unseen

CAN = {"/xnack-on": "unmap_and_retry", "/xnack-off": "preempt_and_restore", "/xnack-on/svm": "fault_and_migrate",
       "/xnack-off/svm": "map_and_restore"}
GPU = "amdgpu:0000:03:00.0"
TEXT = "scenario one\nprocess P\n  a: 1 page anon rw = 7\n  r0 = load a[0]\n"


def hello(*targets):
    return {"targets": [{"name": name, "available": available, "capabilities": {"class": device_class}}
                        for name, device_class, available in targets]}


def words():
    """All targets that the command line knows."""
    said = subprocess.run([unseen.ROOT / "build/faultline", "run", "-t", "?", "x.scn"], capture_output=True, text=True,
                          check=False).stderr
    return re.search(r"there are (.*)", said).group(1).split(", ")


def test_every_word_of_a_target_has_a_kind():
    machines = {"opencl": hello((GPU + "/xnack-on/opencl", "unmap_and_retry", True)),
                "lab-gpu": hello((GPU + "/xnack-on", "unmap_and_retry", True))}
    for word in words():
        assert subject.kind(word, machines).device_class in unseen.faultline.device_classes(), word
    assert len(words()) > 5


@pytest.mark.parametrize("word, kind", [
    ("host", "host"), ("lab:dmirror", "dmirror"), ("debian13:opencl:pocl/0", "opencl"), ("opencl:rusticl", "opencl"),
    ("nouveau:0000:01:00.0/opencl", "nouveau"),
    (GPU + "/xnack-on", "amdgpu (unmap-and-retry)"), (GPU + "/xnack-off", "amdgpu (preempt-and-restore)"),
    (GPU + "/xnack-on/svm", "amdgpu (fault-and-migrate)"), (GPU + "/xnack-off/svm", "amdgpu (map-and-restore)"),
    (GPU, "amdgpu (preempt-and-restore)"),  # the first available one
    ("amdgpu", "amdgpu (preempt-and-restore)"),
])
def test_the_machine_says_the_class(word, kind):
    machines = {"opencl": hello((GPU + "/xnack-on", CAN["/xnack-on"], False), (GPU + "/xnack-off", CAN["/xnack-off"], True),
                                (GPU + "/xnack-on/svm", CAN["/xnack-on/svm"], True),
                                (GPU + "/xnack-off/svm", CAN["/xnack-off/svm"], True))}
    assert str(subject.kind(word, machines)) == kind


def test_what_no_machine_names_is_told():
    with pytest.raises(ValueError, match="the class of amdgpu is not known"):
        subject.kind("amdgpu", {"opencl": hello(("opencl:pocl/0", "fatal_faults", True))})


def test_a_journal_of_a_gpu_is_read(tmp_path):
    records = [{"ev": "machine", "place": "opencl", "event": "hello", "hello": hello((GPU + "/xnack-on/svm", CAN["/xnack-on/svm"], True))},
               {"ev": "scenario", "scenario": "one", "target": "amdgpu", "text": TEXT, "schema": ["P:r0"]},
               {"ev": "batch", "scenario": "one", "target": "amdgpu", "outcomes": [{"texts": ["7"]}]}]
    (tmp_path / "j").write_text("\n".join(map(json.dumps, records)))
    assert subject.seen_in([tmp_path / "j"]) == {(TEXT, subject.Kind("amdgpu", "fault-and-migrate")): [{"P:r0": "7"}]}
    said = subprocess.run([unseen.ROOT / "results/unseen.py", tmp_path / "j"], capture_output=True, text=True, check=False)
    assert said.stdout == "amdgpu (fault-and-migrate): 1 of 1 allowed outcomes seen (100 %), 0 explained, 0 not\n"
