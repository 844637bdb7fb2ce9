"""`faultline record` and its replay: what was asked of a mocked machine is asked again of one that is made of the trace, and
answered the same; what is asked otherwise is told."""

import errno
import json
import os
import re
import signal
import subprocess
import time

import pytest

import device
import machines
import recorded
from machines import GPU, NODE
from replay import ReplayMachine
from test_gpus import A_GROUP, needs_root
from test_targets import HERE

FAULTLINE = str(device.BUILD / "faultline")
RECORDER = f"{device.BUILD}/faultline-record.so"
SCENARIO = str(device.BUILD.parent / "stress/scenarios/mapping/munmap-neighbour.scn")
TARGETS = ("targets", "--json", SCENARIO)


def record(machine, trace, *words, **options):
    return machine.run([FAULTLINE, "record", str(trace), "--", *words], environment=HERE, **options).stdout


def record_requests(machine, trace, program, *script):
    """Of a program of ours, behind the description of its machine."""
    if not trace.exists():
        record(machine, trace, "targets", "--help")
    done = machine.run([str(device.BUILD / program)], "\n".join(script) + "\n", environment={
        "LD_PRELOAD": f"{RECORDER}:{device.PRELOADED}", "FAULTLINE_TRACE": str(trace)})
    return done.stdout.splitlines()


def lines(trace):
    return [json.loads(line) for line in trace.read_text().splitlines()]


def asks(trace):
    return [line for line in lines(trace) if line["ev"] == "ask"]


def without_addresses(driver):
    return [("svm_init",) if each[0] == "svm_init" else each for each in driver.asked]


class Replay:
    def __init__(self, trace):
        self.machine = ReplayMachine(recorded.read(str(trace)))

    def run(self, *words, **options):
        return device.run(self.machine.testbed, [FAULTLINE, *words], environment=HERE, **options)

    def ask(self, program, *script):
        done = device.run(self.machine.testbed, [str(device.BUILD / program)], "\n".join(script) + "\n")
        return done.stdout.splitlines()

    def differences(self):
        return self.machine.finish()


MACHINES = [machines.amdgpu, machines.nouveau, machines.mixed, machines.amdgpu_without_kfd, machines.simple_framebuffer]


@pytest.mark.parametrize("make", MACHINES)
def test_discovery(make, tmp_path):
    plain = make()
    without = plain.run([FAULTLINE, *TARGETS], environment=HERE).stdout
    machine, trace = make(), tmp_path / "trace"
    assert record(machine, trace, *TARGETS) == without  # the recorder changes nothing
    # ... and loses nothing: the description asks the same once more.
    for node, each in plain.devices.items():
        assert without_addresses(machine.devices[node]) == 2 * without_addresses(each)
    assert len(asks(trace)) == sum(each.count for each in plain.devices.values())
    assert all(line["name"] and "followed" not in line for line in asks(trace))
    replay = Replay(trace)
    assert replay.run(*TARGETS).stdout == without
    assert replay.differences() == [] and replay.machine.notes == []
    description = json.loads(without)[0]["gpus"]
    assert lines(trace)[1]["gpus"] == description


def test_a_machine_of_a_machine(tmp_path):
    """What a trace describes is described the same where it is replayed."""
    trace, again = tmp_path / "trace", tmp_path / "again"
    record(machines.mixed(), trace, "targets", SCENARIO)
    Replay(trace).run("record", str(again), "--", "targets", SCENARIO)
    first, second = lines(trace)[0], lines(again)[0]
    assert first == second and "P: /devices/pci0000:00/0000:04:00.0\n" in first["devices"]
    assert first["parameters"]["amdgpu"] == {"gpu_recovery": "-1\n", "noretry": "-1\n"}
    assert "unique_id 0\\012" in first["devices"] and not re.search("unique_id [1-9]", first["devices"])


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


def test_usage(tmp_path):
    def refused(*words):
        done = subprocess.run([FAULTLINE, "record", *words], text=True, capture_output=True)
        assert done.returncode == 2 and done.stdout == ""
        return done.stderr

    there = tmp_path / "there"
    there.write_text("")
    assert "File exists" in refused(str(there))  # nothing is overwritten
    assert "No such file" in refused(str(tmp_path / "no/folder"))
    assert "No such file" in refused("--replay", str(tmp_path / "none"))
    assert "does not record itself" in refused(str(tmp_path / "new"), "--", "record", "x")


def test_the_words_of_a_stranger_are_not_run(tmp_path):
    trace, victim = tmp_path / "trace", tmp_path / "victim"
    record(machines.amdgpu(), trace, "targets", SCENARIO)
    trace.write_text(trace.read_text().replace('"command":["targets"', f'"command":["run","--json","{victim}"'))
    done = subprocess.run([FAULTLINE, "record", "--replay", str(trace)], text=True, capture_output=True)
    assert done.returncode == 2 and "give the words that you want" in done.stderr and not victim.exists()


@pytest.mark.parametrize("story", [f"copy {NODE}", f"copy-through-vram {NODE}", f"change {NODE} munmap"])
def test_jobs(story, tmp_path):
    """All requests are answered as recorded; only memory that the GPU wrote is not as it was."""
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


def test_chunks_two_deep(tmp_path):
    trace = tmp_path / "trace"
    record_requests(machines.working_amdgpu(), trace, "amdgpu-requests", f"copy {NODE}")
    job = next(line for line in asks(trace) if line["name"] == "DRM_IOCTL_AMDGPU_CS")
    blocks = {tuple(each["path"]): bytes.fromhex(each["bytes"]) for each in job["memory"]}
    assert set(blocks) == {(), (16,), (16, 0), (16, 0, 8)}
    assert len(blocks[16, 0, 8]) == 4 * int.from_bytes(blocks[16, 0][4:8], "little") == 32  # drm_amdgpu_cs_chunk_ib
    entries = next(line for line in asks(trace) if line["name"] == "DRM_IOCTL_AMDGPU_BO_LIST")["memory"][1]["bytes"]
    assert len(entries) // 2 % 8 == 0 and entries


def test_migrations(tmp_path):
    """KFD's requests are replayed, its events are not."""
    trace = tmp_path / "trace"
    story = f"migrate {NODE} on {GPU}"
    assert record_requests(machines.working_amdgpu(), trace, "amdgpu-requests", story) == ["ok DUSU DU"]
    assert {line["name"] for line in asks(trace)} >= {"AMDKFD_IOC_SVM", "AMDKFD_IOC_SMI_EVENTS", "AMDKFD_IOC_ACQUIRE_VM"}
    replay = Replay(trace)
    assert replay.ask("amdgpu-requests", story) == ["ok - -"]
    assert replay.differences() == []


def test_a_run(tmp_path):
    """Agents and the processes under test are recorded, and what they ask is asked again."""
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


@pytest.mark.parametrize("error", [errno.ENOMEM, errno.EINTR, errno.ENODEV])
def test_an_error_of_a_request(error, tmp_path):
    described = machines.amdgpu()
    described.run([FAULTLINE, *TARGETS], environment=HERE)
    machine, trace = machines.amdgpu(), tmp_path / "trace"
    at = described.devices[NODE].count + 9  # the description asks first
    machine.devices[NODE].injected[at] = error
    told = record(machine, trace, *TARGETS)
    name = errno.errorcode[error]
    assert [line["error"] for line in lines(trace) if line["ev"] == "answer" and "error" in line].count(name) == 1
    replay = Replay(trace)
    assert replay.run(*TARGETS).stdout == told and replay.differences() == []


def test_an_open_that_the_driver_refuses(tmp_path, monkeypatch):
    trace = tmp_path / "trace"
    machine = machines.amdgpu()
    monkeypatch.setattr(machine.devices["/dev/kfd"], "opens", lambda client: errno.ENOMEM)
    told = record(machine, trace, *TARGETS)
    assert json.loads(told)[0]["gpus"][0]["svm"] == [] and "/dev/kfd: ENOMEM" in told
    replay = Replay(trace)
    assert replay.run(*TARGETS).stdout == told and replay.differences() == []


@needs_root
@pytest.mark.skipif(A_GROUP is None, reason="no group render or video")
@pytest.mark.parametrize("node", [NODE, "/dev/kfd"])
def test_no_permission(node, tmp_path):
    """For the one who recorded: the replay, by root, says the same."""
    machine, trace = machines.amdgpu(), tmp_path / "trace"
    for each in (NODE, "/dev/kfd"):
        machines.restrict(machine, each, 0o666, 0)
    machines.restrict(machine, node, 0o660, A_GROUP.gr_gid)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and str(folder).startswith("/tmp/"):
            folder.chmod(0o777)
    try:
        told = record(machine, trace, *TARGETS, user="nobody", extra_groups=[])
    except PermissionError:
        pytest.skip("the build is not readable for nobody")
    assert f"no permission on {node}, which is for the group {A_GROUP.gr_name}" in told
    assert [line["error"] for line in lines(trace) if line["ev"] == "answer" and "error" in line] == ["EACCES"]
    replay = Replay(trace)
    assert replay.run(*TARGETS).stdout == told.replace(f"usermod -aG {A_GROUP.gr_name} nobody", f"usermod -aG {A_GROUP.gr_name} root")
    assert replay.differences() == []


def test_a_driver_that_hangs(tmp_path):
    """The request that was never answered is in the trace, and never answered in the replay."""
    described = machines.amdgpu()
    described.run([FAULTLINE, *TARGETS], environment=HERE)
    machine, trace = machines.amdgpu(), tmp_path / "trace"
    machine.devices["/dev/kfd"].hangs_at = described.devices["/dev/kfd"].count + 1
    told = record(machine, trace, *TARGETS)
    assert "SVM: KFD does not answer" in told
    answered = {line["id"] for line in lines(trace) if line["ev"] == "answer"}
    hung, = [line for line in asks(trace) if line["id"] not in answered]
    assert hung["name"] == "AMDKFD_IOC_SET_XNACK_MODE"
    replay = Replay(trace)
    assert replay.run(*TARGETS).stdout == told and replay.differences() == []
    note, = replay.machine.notes
    assert "AMDKFD_IOC_SET_XNACK_MODE was never answered" in note


def test_a_run_that_is_killed(tmp_path):
    """What it asked until then is there."""
    trace = tmp_path / "trace"
    machine = machines.working_amdgpu()
    record(machine, trace, "targets", "--help")
    described = machine.devices[NODE].count
    context = {"LD_PRELOAD": f"{RECORDER}:{device.PRELOADED}", "FAULTLINE_TRACE": str(trace)}
    child = device.start(machine.testbed, [str(device.BUILD / "amdgpu-requests")], context, text=True, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    answers = []

    def kill_in_the_middle():
        child.stdin.write(f"copy {NODE}\nreset-state {NODE}\n" + f"copy {NODE}\n" * 1000)
        child.stdin.flush()
        answers.append(child.stdout.readline())
        answers.append(child.stdout.readline())
        time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        child.wait()

    device.answer_while(kill_in_the_middle)
    assert answers == ["ok 41\n", "ok none\n"]
    whole = trace.read_bytes()
    assert whole.endswith(b"}\n")  # no line is half there
    assert 0 <= len(asks(trace)) + described - machine.devices[NODE].count <= 1
    replay = Replay(trace)
    assert replay.ask("amdgpu-requests", f"copy {NODE}", f"reset-state {NODE}") == ["ok 0", "ok none"]
    # A copy that lost its end, as from a mail.
    trace.write_bytes(whole[:-20])
    assert "the last line is cut off" in recorded.read(str(trace)).notes[0]


def test_a_request_of_a_shape_that_is_not_known(tmp_path):
    trace = tmp_path / "trace"
    machine = machines.amdgpu()
    record(machine, trace, "targets", "--help")
    program = ("import fcntl, os\nfd = os.open('/dev/dri/renderD128', os.O_RDWR)\n"
               "for number in (0xC010647F, 0xC0106450, 0x6464):\n  try: fcntl.ioctl(fd, number, b'\\1' * 16)\n"
               "  except OSError as error: print(error.errno)\n")
    context = {"LD_PRELOAD": f"{RECORDER}:{device.PRELOADED}", "FAULTLINE_TRACE": str(trace)}
    done = machine.run(["/usr/bin/python3", "-c", program], environment=context)
    assert done.stdout == f"{errno.ENOTTY}\n" * 3
    first, second, third = asks(trace)
    assert "name" not in first and first["followed"] is False and first["number"] == "0xc010647f"
    assert first["memory"] == [{"path": [], "bytes": "01" * 16}]
    assert second["name"] == "DRM_IOCTL_AMDGPU_GEM_OP" and second["followed"] is False
    assert "name" not in third and "memory" not in third and third["value"].startswith("0x")


def altered(trace, change):
    """The trace with its n-th line changed; `change`: of its object, True where it did."""
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
    """A negative control of equality: the replay's answers are the trace's."""
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


WITHOUT_UMOCKDEV = """
import fcntl, os, subprocess, sys
def ask(fd):
    try: fcntl.ioctl(fd, 0xC0406400, bytes(64))
    except OSError as error: print(error.errno)
fd = os.open('/dev/dri/renderD128', os.O_RDWR)
ask(fd)
ask(os.dup(fd))
ask(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100))
os.close(fd)
ask(os.open('/proc/self/maps', os.O_RDONLY))  # the same descriptor, another file
fd = os.open('/dev/kfd', os.O_RDWR)
if os.fork() == 0:
    ask(fd)
    os._exit(0)
os.wait()
try: os.open('/dev/dri/renderD129', os.O_RDWR)
except OSError as error: print(error.errno)
fd = os.dup2(fd, 50)
sys.stdout.flush()
os.execv('/usr/bin/python3', ['python3', '-c', f"import fcntl\\ntry: fcntl.ioctl({fd}, 0x80084b01, bytes(8))\\n"
         "except OSError as error: print(error.errno)"])
"""


@needs_root
def test_without_umockdev(tmp_path):
    """On nodes as a kernel has them, if of /dev/null: duplicates, a descriptor that is another file's by now, fork() and exec()."""
    trace = tmp_path / "trace"
    trace.write_text("")
    nodes = ("touch {0}/null; mount --bind /dev/null {0}/null; mount -t tmpfs none /dev; mkdir /dev/dri; for node in null kfd "
             "dri/renderD128; do touch /dev/$node; mount --bind {0}/null /dev/$node; done").format(tmp_path)
    script = f"set -e; {nodes}; export FAULTLINE_TRACE={trace} LD_PRELOAD={RECORDER}; exec /usr/bin/python3 -c \"$0\""
    context = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "UMOCKDEV_DIR")}
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, WITHOUT_UMOCKDEV], env=context, text=True, capture_output=True)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.stdout.split() == [str(errno.ENOTTY)] * 5 + [str(errno.ENOENT), str(errno.ENOTTY)], done
    render, kfd, other, inherited = [line for line in lines(trace) if line["ev"] == "open"]
    assert (render["node"], kfd["node"], kfd["driver"], other["node"]) == (NODE, "/dev/kfd", "kfd", "/dev/dri/renderD129")
    assert [each["client"] for each in asks(trace)] == 3 * [render["client"]] + [kfd["client"], inherited["client"]]
    assert [each["id"].split(".")[0] == kfd["client"].split(".")[0] for each in asks(trace)] == [True] * 3 + [False, True]
    assert inherited["inherited"] and inherited["node"] == "/dev/kfd" and asks(trace)[-1]["name"] == "AMDKFD_IOC_GET_VERSION"
    errors = [line["error"] for line in lines(trace) if line["ev"] == "answer" and line["result"] < 0]
    assert errors == ["ENOTTY"] * 4 + ["ENOENT", "ENOTTY"]
