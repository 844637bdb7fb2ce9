"""Replays of traces: the same requests get the recorded answers, and different requests are reported with their place."""

import json
import os
import re
import subprocess

import pytest

import device
import machines
from machines import GPU, NODE
from recording import FAULTLINE, HERE, SCENARIO, TARGETS, Replay, asks, lines, record, record_requests


def test_the_command(tmp_path):
    """`faultline record --replay`, as a developer runs it."""
    trace = tmp_path / "trace"
    recorded_text = record(machines.amdgpu(), trace, "targets", SCENARIO)
    context = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "UMOCKDEV_DIR")} | HERE
    command = [FAULTLINE, "record", "--replay", str(trace)]
    done = subprocess.run(command, env=context, text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, recorded_text, "")
    done = subprocess.run([*command, "--", *TARGETS], env=context, text=True, capture_output=True)
    assert done.returncode == 0 and json.loads(done.stdout)[0]["gpus"] == lines(trace)[1]["gpus"]
    done = subprocess.run([*command, "--", "claims", "4.1"], env=context, text=True, capture_output=True)
    assert done.returncode == 1 and "/dev/dri/renderD128: faultline did not open it as recorded" in done.stderr
    trace.write_text("{}\n")
    done = subprocess.run([*command, "--", *TARGETS], env=context, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (2, f"{trace}:1:1: 'ev' is missing\n")


def test_the_words_of_a_stranger_are_not_run(tmp_path):
    trace, victim = tmp_path / "trace", tmp_path / "victim"
    record(machines.amdgpu(), trace, "targets", SCENARIO)
    trace.write_text(trace.read_text().replace('"command":["targets"', f'"command":["run","--json","{victim}"'))
    done = subprocess.run([FAULTLINE, "record", "--replay", str(trace)], text=True, capture_output=True)
    assert done.returncode == 2 and "give the words that you want" in done.stderr and not victim.exists()


@pytest.mark.parametrize("story", [f"copy {NODE}", f"copy-through-vram {NODE}", f"unmapped {NODE}"])
def test_jobs(story, tmp_path):
    """All requests get their recorded answers. Only memory that the GPU wrote differs."""
    trace = tmp_path / "trace"
    plain = machines.working_amdgpu()
    without = plain.ask(story, by="amdgpu-requests")
    machine = machines.working_amdgpu()
    record(machine, trace, "targets", "--help")
    before = len(machine.devices[NODE].asked)
    assert record_requests(machine, trace, "amdgpu-requests", story) == without
    assert machine.devices[NODE].asked[before:] == plain.devices[NODE].asked
    assert len(asks(trace)) == plain.devices[NODE].count
    replay = Replay(trace)
    answer, = replay.ask("amdgpu-requests", story)
    assert replay.differences() == []
    numbers = re.compile(r"\b\d+\b")
    assert answer != without[0] and numbers.sub("N", answer) == numbers.sub("N", without[0])


def test_migrations(tmp_path):
    """KFD's requests are replayed. Its events are recorded for people to read, and not replayed."""
    trace = tmp_path / "trace"
    story = f"migrate {NODE} on {GPU}"
    assert record_requests(machines.working_amdgpu(), trace, "amdgpu-requests", story) == ["ok DS D"]
    assert {line["name"] for line in asks(trace)} >= {"AMDKFD_IOC_SVM", "AMDKFD_IOC_SMI_EVENTS", "AMDKFD_IOC_ACQUIRE_VM"}
    events = "".join(line["text"] for line in lines(trace) if line["ev"] == "events").splitlines()
    assert [line.split()[0] for line in events].count("6") == 2  # KFD_SMI_EVENT_MIGRATE_END: there and back
    replay = Replay(trace)
    assert replay.ask("amdgpu-requests", story) == ["ok - -"]
    assert replay.differences() == []


def test_a_run(tmp_path):
    """Agents and processes under test are recorded, and the replay sees the same requests."""
    trace = tmp_path / "trace"
    words = ["run", "-t", "amdgpu:0000:03:00.0/xnack-on", "--seed", "1", "--iterations", "2", "--json"]
    machine = machines.working_amdgpu()
    done = device.run(machine.testbed, [FAULTLINE, "record", str(trace), "--", *words, str(tmp_path / "1"), SCENARIO])
    assert done.returncode == 0 and "Verdict munmap-neighbour agree" in done.stdout, done
    opens = [line for line in lines(trace) if line["ev"] == "open"]
    assert {line["program"] for line in opens} == {"faultline-agent-opencl"}
    assert len({line["client"].split(".")[0] for line in opens}) >= 3  # processes
    assert sum(line["name"] == "DRM_IOCTL_AMDGPU_CS" for line in asks(trace)) == machine.devices[NODE].jobs > 2
    replay = Replay(trace)
    device.run(replay.machine.testbed, [FAULTLINE, *words, str(tmp_path / "2"), SCENARIO])
    assert replay.differences() == []


def altered(trace, change):
    """Alters the first line of the trace that `change` accepts, and returns its number. `change` edits the line's object and
    returns True if it did."""
    text = trace.read_text().splitlines()
    for number, line in enumerate(text):
        members = json.loads(line)
        if change(members):
            text[number] = json.dumps(members)
            trace.write_text("\n".join(text) + "\n")
            return number + 1
    raise AssertionError("nothing to change")


def flip(block, at):
    data = bytearray.fromhex(block["bytes"])
    data[at] ^= 0x40
    block["bytes"] = data.hex()
    return True


@pytest.mark.parametrize("name, path, at", [("DRM_IOCTL_AMDGPU_CTX", [], 2), ("DRM_IOCTL_AMDGPU_BO_LIST", [16], 4),
                                            ("DRM_IOCTL_AMDGPU_CS", [16, 0, 8], 9), ("DRM_IOCTL_GEM_CLOSE", [], 0)])
def test_an_altered_request_is_noticed(name, path, at, tmp_path):
    trace = tmp_path / "trace"
    record_requests(machines.working_amdgpu(), trace, "amdgpu-requests", f"copy {NODE}")
    number = altered(trace, lambda line: line.get("name") == name and
                     any(each["path"] == path and flip(each, at) for each in line["memory"]))
    replay = Replay(trace)
    replay.ask("amdgpu-requests", f"copy {NODE}")
    difference, *_ = replay.differences()
    where = "what it points to at " + ".".join(map(str, path)) if path else "its argument"
    assert f"{name}: {where} differs from byte {at} on: asks " in difference and f"({trace}:{number})" in difference
    pairs = re.search("asks ([0-9a-f]+), recorded ([0-9a-f]+) ", difference)
    assert bytes.fromhex(pairs[1])[at] == bytes.fromhex(pairs[2])[at] ^ 0x40


def test_another_answer_is_told_on(tmp_path):
    """A negative control: the replay really gives the trace's answers."""
    trace = tmp_path / "trace"
    told = record(machines.nouveau(), trace, *TARGETS)
    altered(trace, lambda line: line["ev"] == "answer" and any(
        not each["path"] and each["bytes"].startswith("0b") and flip(each, 8) for each in line.get("memory", [])))
    replay = Replay(trace)
    again = replay.run(*TARGETS).stdout
    assert replay.differences() == [] and json.loads(again)[0]["gpus"][0]["chip"] == "NV174 (Ampere)" and again != told


def test_more_and_less_than_recorded(tmp_path):
    trace = tmp_path / "trace"
    record_requests(machines.working_amdgpu(), trace, "amdgpu-requests", f"copy {NODE}")
    replay = Replay(trace)
    answers = replay.ask("amdgpu-requests", f"copy {NODE}", f"copy {NODE}")
    assert answers == ["ok 0", f"EPROTO open {NODE}: EPROTO"]
    assert replay.differences() == [f"{NODE}: amdgpu-requests opens the node once more than recorded"]
    replay = Replay(trace)
    assert "EPROTO" in replay.ask("amdgpu-requests", f"reset-state {NODE}")[0]
    assert re.search(r"asks 0x[0-9a-f]{8} [0-9a-f]+, recorded DRM_IOCTL_AMDGPU_GEM_USERPTR 0x[0-9a-f]{8} [0-9a-f]+ \(",
                     replay.differences()[0])
