"""`faultline record` on mocked machines: it loses nothing and changes nothing, however the run ends; and a replay of the
trace gives the recorded answers."""

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
from machines import NODE
from recording import FAULTLINE, HERE, RECORDER, SCENARIO, TARGETS, Replay, asks, lines, preloaded, record, record_requests
from test_gpus import A_GROUP, needs_root

def without_addresses(driver):
    return [("svm_init",) if each[0] == "svm_init" else each for each in driver.asked]


MACHINES = [machines.amdgpu, machines.nouveau, machines.mixed, machines.amdgpu_without_kfd, machines.simple_framebuffer]


@pytest.mark.parametrize("make", MACHINES)
def test_discovery(make, tmp_path):
    plain = make()
    without = plain.run([FAULTLINE, *TARGETS], environment=HERE).stdout
    machine, trace = make(), tmp_path / "trace"
    assert record(machine, trace, *TARGETS) == without  # the recorder changes nothing
    # ... and loses nothing. The description of the machine makes the same requests once more.
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
    """The replay's description of the machine is the same as the trace's."""
    trace, again = tmp_path / "trace", tmp_path / "again"
    machine = machines.mixed()
    machine.file("/sys/devices/pci0000:00/0000:07:00.0/power/runtime_status").write_text("active\n")
    record(machine, trace, "targets", SCENARIO)
    Replay(trace).run("record", str(again), "--", "targets", SCENARIO)
    assert lines(trace)[:2] == lines(again)[:2] and [gpu["power"] for gpu in lines(again)[1]["gpus"]] == ["", "", "active"]
    first = lines(trace)[0]
    assert "P: /devices/pci0000:00/0000:04:00.0\n" in first["devices"]
    assert first["parameters"]["amdgpu"] == {"gpu_recovery": "-1\n", "noretry": "-1\n"}
    assert "unique_id 0\\012" in first["devices"] and not re.search("unique_id [1-9]", first["devices"])


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


def test_chunks_two_deep(tmp_path):
    trace = tmp_path / "trace"
    record_requests(machines.working_amdgpu(), trace, "amdgpu-requests", f"copy {NODE}")
    job = next(line for line in asks(trace) if line["name"] == "DRM_IOCTL_AMDGPU_CS")
    blocks = {tuple(each["path"]): bytes.fromhex(each["bytes"]) for each in job["memory"]}
    assert set(blocks) == {(), (16,), (16, 0), (16, 0, 8)}
    assert len(blocks[16, 0, 8]) == 4 * int.from_bytes(blocks[16, 0][4:8], "little") == 32  # drm_amdgpu_cs_chunk_ib
    entries = next(line for line in asks(trace) if line["name"] == "DRM_IOCTL_AMDGPU_BO_LIST")["memory"][1]["bytes"]
    assert len(entries) // 2 % 8 == 0 and entries


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
    """Permissions: a replay by root says the same as the recording user saw."""
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
    usermod = f"usermod -aG {A_GROUP.gr_name} "
    assert replay.run(*TARGETS).stdout == told.replace(usermod + "nobody", usermod + "root")
    assert replay.differences() == []


def test_a_driver_that_hangs(tmp_path):
    """A request that was never answered is in the trace, and the replay does not answer it either."""
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
    """Its requests until then are in the trace."""
    trace = tmp_path / "trace"
    machine = machines.working_amdgpu()
    record(machine, trace, "targets", "--help")
    described = machine.devices[NODE].count
    child = device.start(machine.testbed, [str(device.BUILD / "amdgpu-requests")], preloaded(trace), text=True,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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
    assert whole.endswith(b"}\n")  # no partial line
    assert 0 <= len(asks(trace)) + described - machine.devices[NODE].count <= 1
    replay = Replay(trace)
    assert replay.ask("amdgpu-requests", f"copy {NODE}", f"reset-state {NODE}") == ["ok 0", "ok none"]
    # A truncated copy, as from a mail.
    trace.write_bytes(whole[:-20])
    assert "the last line is cut off" in recorded.read(str(trace)).notes[0]


def test_a_full_disk():
    """The program does not notice. Its user gets one message."""
    done = machines.amdgpu().run([str(device.BUILD / "drm-requests")], f"render-node {NODE}\n",
                                 environment=preloaded("/dev/full"))
    assert done.stdout == "ok amdgpu 3.49.0\n"
    assert done.stderr == "faultline record: /dev/full: No space left on device: requests are lost\n"


def test_a_request_of_a_shape_that_is_not_known(tmp_path):
    trace = tmp_path / "trace"
    machine = machines.amdgpu()
    record(machine, trace, "targets", "--help")
    program = ("import fcntl, os\nfd = os.open('/dev/dri/renderD128', os.O_RDWR)\n"
               "for number in (0xC010647F, 0xC0106450, 0x6464):\n  try: fcntl.ioctl(fd, number, b'\\1' * 16)\n"
               "  except OSError as error: print(error.errno)\n")
    done = machine.run(["/usr/bin/python3", "-c", program], environment=preloaded(trace))
    assert done.stdout == f"{errno.ENOTTY}\n" * 3
    first, second, third = asks(trace)
    assert "name" not in first and first["followed"] is False and first["number"] == "0xc010647f"
    assert first["memory"] == [{"path": [], "bytes": "01" * 16}]
    assert second["name"] == "DRM_IOCTL_AMDGPU_GEM_OP" and second["followed"] is False
    assert "name" not in third and "memory" not in third and third["value"].startswith("0x")


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
@pytest.mark.skipif(device.BUILD.name == "asan", reason="tools of the system run too, without ASan's runtime in front")
def test_without_umockdev(tmp_path):
    """On kernel device nodes (though of /dev/null): duplicates, a reused descriptor number, fork(), exec()."""
    trace = tmp_path / "trace"
    trace.write_text("")
    null = tmp_path / "null"
    nodes = (f"touch {null}; mount --bind /dev/null {null}; mount -t tmpfs none /dev; mkdir /dev/dri; "
             f"for node in null kfd dri/renderD128; do touch /dev/$node; mount --bind {null} /dev/$node; done")
    script = f"set -e; {nodes}; export FAULTLINE_TRACE={trace} LD_PRELOAD={RECORDER}; exec /usr/bin/python3 -c \"$0\""
    context = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "UMOCKDEV_DIR")}
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, WITHOUT_UMOCKDEV], env=context, text=True,
                          capture_output=True)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.stdout.split() == [str(errno.ENOTTY)] * 5 + [str(errno.ENOENT), str(errno.ENOTTY)], done
    render, kfd, other, inherited = [line for line in lines(trace) if line["ev"] == "open"]
    assert (render["node"], kfd["node"], kfd["driver"], other["node"]) == (NODE, "/dev/kfd", "kfd", "/dev/dri/renderD129")
    assert [each["client"] for each in asks(trace)] == 3 * [render["client"]] + [kfd["client"], inherited["client"]]
    assert [each["id"].split(".")[0] == kfd["client"].split(".")[0] for each in asks(trace)] == [True] * 3 + [False, True]
    assert inherited["inherited"] and inherited["node"] == "/dev/kfd"
    assert asks(trace)[-1]["name"] == "AMDKFD_IOC_GET_VERSION"
    errors = [line["error"] for line in lines(trace) if line["ev"] == "answer" and line["result"] < 0]
    assert errors == ["ENOTTY"] * 4 + ["ENOENT", "ENOTTY"]
