"""Bad traces: errors name their place, and no file is made where it should not be."""

import json
import random

import pytest
from gi.repository import GLib

import machines
import recorded
from machines import NODE
from recording import record_requests
from replay import ReplayMachine

MACHINE = {"ev": "machine", "trace": 1, "command": ["targets"], "devices": "", "nodes": {}, "parameters": {},
           "kernel_config": None}
OPEN = {"ev": "open", "id": "7.1", "client": "7.1", "node": NODE, "driver": "amdgpu", "program": "x"}
ASK = {"ev": "ask", "id": "7.2", "client": "7.1", "number": "0xc0106442", "memory": [{"path": [], "bytes": "00" * 16}]}
ANSWER = {"ev": "answer", "id": "7.2", "result": 0}


def read(tmp_path, *lines):
    trace = tmp_path / "trace"
    trace.write_bytes(b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines))
    return recorded.read(str(trace))


def why(tmp_path, *lines):
    with pytest.raises(recorded.BadTrace) as bad:
        read(tmp_path, *lines)
    file, _, rest = str(bad.value).partition(":")
    assert file == str(tmp_path / "trace")
    return rest


def test_a_good_one(tmp_path):
    trace = read(tmp_path, MACHINE, OPEN, ASK, ANSWER)
    client, = trace.clients
    assert client.asks[0].answer.result == 0 and client.answer is None and trace.notes == []


@pytest.mark.parametrize("lines, message", [
    ([], "1:1: no trace of 'faultline record': it does not begin with a machine"),
    ([OPEN], "1:1: no trace of 'faultline record': it does not begin with a machine"),
    ([MACHINE, MACHINE], "2:1: a second machine"),
    ([MACHINE, b'{"ev": "open",,}'], "2:15: no JSON: Expecting property name enclosed in double quotes"),
    ([MACHINE, b"[" * 100000],
     "2:1: no JSON: maximum recursion depth exceeded while decoding a JSON array from a unicode string"),
    ([MACHINE, b"7"], "2:1: not an object"),
    ([MACHINE, b'{"ev": "\xff"}'], "2:9: no UTF-8"),
    ([MACHINE, {"id": "1"}], "2:1: 'ev' is missing"),
    ([MACHINE, {"ev": "surprise"}], "2:2: 'ev' is not known: 'surprise'"),
    ([MACHINE | {"trace": 2}], "1:19: 'trace' is a version that is not known here"),
    ([MACHINE | {"command": [1]}], "1:31: 'command' has an element that is no word"),
    ([MACHINE | {"nodes": {"/dev/sda": {}}}], "1:70: 'nodes' has an odd one: '/dev/sda'"),
    ([MACHINE, OPEN | {"node": "/dev/sda"}], "2:46: 'node' is odd: '/dev/sda'"),
    ([MACHINE, OPEN | {"inherited": 1}], "2:113: 'inherited' is no bool"),
    ([MACHINE, ASK], "2:28: 'client' has opened nothing"),
    ([MACHINE, OPEN, ASK | {"number": "-1"}], "3:45: 'number' is odd: '-1'"),
    ([MACHINE, OPEN, ASK | {"number": 7}], "3:45: 'number' is no str"),
    ([MACHINE, OPEN, ASK | {"memory": [7]}], "3:69: 'memory' has an element that is no object"),
    ([MACHINE, OPEN, ASK | {"memory": [{"path": [-1]}]}], "3:69: 'memory' has an odd path"),
    ([MACHINE, OPEN, ASK | {"memory": [{"path": [], "bytes": "0g"}]}],
     "3:69: 'memory' has bytes that are not hexadecimal, at []"),
    ([MACHINE, OPEN, ASK | {"memory": [{"path": [], "bytes": "00", "loose": [[0, 4]]}]}],
     "3:69: 'memory' has odd members, at []"),
    ([MACHINE, OPEN, ASK | {"memory": [{"path": [8], "bytes": "00"}]}], "3:69: 'memory' lacks the argument"),
    ([MACHINE, OPEN, ANSWER], "3:18: 'id' belongs to no open and no request"),
    ([MACHINE, OPEN, ASK, ANSWER, ANSWER], "5:18: 'id' belongs to no open and no request"),
    ([MACHINE, OPEN, ASK, ANSWER | {"result": "0"}], "4:31: 'result' is no int"),
    ([MACHINE, OPEN, ASK, ANSWER | {"result": -1, "error": "EODD"}], "4:45: 'error' is not known: 'EODD'"),
    ([MACHINE, OPEN, ASK, ANSWER | {"memory": [{"path": [4], "bytes": "00"}]}],
     "4:44: 'memory' is not memory of the request")])
def test_odd_lines(lines, message, tmp_path):
    assert why(tmp_path, *lines) == message


PCI = "P: /devices/pci0000:00/0000:03:00.0\nE: SUBSYSTEM=pci\n"


@pytest.mark.parametrize("devices", [
    "P: /devices/../../x", "P: /devices/x/../../../y", "P: /etc", "P: /devices//x", "P: /devices/x/device/y", "A: vendor=1",
    PCI + "N: ../x", PCI + "N: sda", PCI + "N: dri/card0=00", PCI + "A: ../../x=1", PCI + "A: topology/../../x=1",
    PCI + "A: uevent=1", PCI + "A: device/x=1", PCI + "L: driver=/etc", PCI + "L: driver=../../../../../../etc",
    PCI + "L: driver=../../../../x",
    PCI + "L: driver=x/../../../../../etc", PCI + "L: subsystem=../x", PCI + "L: device=../x\nA: device=1",
    PCI + "A: device=1\nL: device=../x", PCI + "E: X=\x1b[2J", PCI + "H: vendor=00", "P: /devices/x\nE: A=1\0"])
def test_devices_that_would_be_elsewhere(devices, tmp_path):
    number = devices.count("\n") + 1
    assert f"'devices' has an odd line, its line {number}: " in why(tmp_path, MACHINE | {"devices": devices})
    read(tmp_path, MACHINE | {"devices": PCI + "A: vendor=0x1002\nL: driver=../../../bus/pci/drivers/amdgpu\n\n"})


def test_a_trace_that_bits_were_changed_of(tmp_path):
    """A damaged trace is read or refused: nothing else happens. A trace that was read can be mocked."""
    trace = tmp_path / "trace"
    record_requests(machines.working_amdgpu(), trace, "amdgpu-requests", f"copy {NODE}")
    whole, dice = trace.read_bytes(), random.Random(1)
    refused = read_well = 0
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        trace.write_bytes(data[:dice.randint(1, len(data))] if dice.random() < 0.3 else data)
        try:
            again = recorded.read(str(trace))
        except recorded.BadTrace as bad:
            refused += 1
            assert str(bad).startswith(f"{trace}:"), bad
        else:
            read_well += 1
            if read_well % 10 == 0:
                make(again)
    assert refused > 50 and read_well > 50


def make(trace):
    try:
        ReplayMachine(trace)
    except GLib.Error:
        pass  # umockdev's own words of what is wrong
