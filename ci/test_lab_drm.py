"""The lab's real DRM devices, vgem and virtio-gpu: discovery, shared buffers, permissions, and a recorded trace."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
AGENT, PRIME = ROOT / "build/faultline-agent", ROOT / "build/drm-prime"
SCENARIO = 'scenario one\n  "A page can be read."\nprocess P\n  a: 1 page anon rw = 7\nthread P.cpu\n  r0 = load a[0]\n'
NODES = {"vgem": ("/dev/dri/renderD128", "/dev/dri/card0"), "virtio_gpu": ("/dev/dri/renderD129", "/dev/dri/card1")}


def run(*words, **environment):
    return subprocess.run([str(word) for word in words], env=os.environ | environment, text=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def in_the_lab(tmp_path, *words, files=()):
    given = [word for name in files for word in ("--file", name)]
    return run(ROOT / "ci/lab", "exec", "--console", tmp_path / "console", *given, "--", *words)


# --- Discovery.

@pytest.fixture
def scenario(tmp_path):
    path = tmp_path / "one.scn"
    path.write_text(SCENARIO + "always P:r0 = 7\n")
    return path


def test_the_gpus_of_the_lab(scenario):
    done = run(ROOT / "build/faultline", "targets", "-t", "lab:host", "-t", "lab:pinned", "-t", "lab:dmirror", scenario)
    assert done.returncode == 0, done
    text = done.stdout[done.stdout.index("GPU "):]
    assert text == """\
GPU lab:vgem
  vgem 1.0.0 on /dev/dri/renderD128 and /dev/dri/card0
  SVM: none; SVM is known of amdgpu and nouveau only
GPU lab:0000:00:03.0  1af4:1050 rev 01
  virtio_gpu 0.1.0 on /dev/dri/renderD129 and /dev/dri/card1
  SVM: none; SVM is known of amdgpu and nouveau only
"""
    assert [line.split()[:2] for line in done.stdout.splitlines() if line.startswith("lab:")] == [
        ["lab:host", "available"], ["lab:pinned", "available"], ["lab:dmirror", "available"]]


def test_the_gpus_of_the_lab_for_a_program(scenario):
    rows = json.loads(run(ROOT / "build/faultline", "targets", "--json", "-t", "host", "-t", "lab:dmirror", scenario).stdout)
    assert [row["target"] for row in rows] == ["host", "lab:dmirror"]
    assert {gpu["driver"]: (gpu["render_node"], gpu["card_node"]) for gpu in rows[1]["gpus"]} == NODES
    assert rows[0]["gpus"] == json.loads(run(ROOT / "build/faultline", "targets", "--json", scenario).stdout)[0]["gpus"]


def test_a_lab_that_does_not_start(scenario):
    done = run(ROOT / "build/faultline", "targets", "-t", "lab:dmirror", scenario, FAULTLINE_LAB="false")
    assert done.returncode == 3 and done.stdout.startswith("lab:dmirror  not here") and "GPU" not in done.stdout
    # The lab is built, but dies at start.
    done = run(ROOT / "build/faultline", "targets", "-t", "lab:dmirror", scenario,
               FAULTLINE_LAB='sh -c \'test "$1" = path || { echo no more >&2; false; }\' lab')
    assert done.returncode == 3
    assert done.stdout.startswith("lab:dmirror  not here: the agent does not start: its process ended: exit status 1: no more\n")


# --- PRIME.

def test_a_buffer_between_drivers(tmp_path):
    """virtio-gpu imports only its own buffers (virtgpu_gem_prime_import_sg_table). Dumb buffers are not allowed on render
    nodes (drm_ioctl_permit)."""
    done = in_the_lab(tmp_path, "/drm-prime", files=[PRIME])
    assert done.stdout.splitlines() == [
        "vgem -> vgem: one buffer",
        "vgem -> virtio_gpu: import: ENODEV",
        "virtio_gpu -> vgem: one buffer, mapped through its dma-buf",
        "virtio_gpu -> virtio_gpu: one buffer",
        "/dev/dri/renderD128: create: EACCES",
        "/dev/dri/renderD129: create: EACCES"]
    assert done.returncode == 0
    console = (tmp_path / "console").read_text()
    assert "WARNING:" not in console and "BUG:" not in console


def test_another_buffer_is_told(tmp_path):
    done = in_the_lab(tmp_path, "/drm-prime", "--other", files=[PRIME])
    assert [line.partition(": ")[2] for line in done.stdout.splitlines()[:4]] == [
        "two buffers", "import: ENODEV", "two buffers, mapped through its dma-buf", "two buffers"]
    assert done.returncode == 1


# --- Permissions.

# busybox's su takes the groups from /etc/group, as a login does.
STEPS = """
ask() { su -s /bin/sh lab -c 'echo "{\\"op\\":\\"gpus\\"}" | /faultline-agent --stdio'; }
ask
chgrp render /dev/dri/renderD*; chmod 660 /dev/dri/renderD*; ask
echo render:x:106:lab >/etc/group; ask; su -s /bin/sh lab -c /drm-prime >&2
chmod 600 /dev/dri/renderD*; chgrp render /dev/dri/card*; chmod 660 /dev/dri/card*; ask
"""


def test_who_may_open_them(tmp_path):
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nlab:x:1000:1000::/:/bin/sh\n")
    (tmp_path / "group").write_text("render:x:106:\n")
    done = in_the_lab(tmp_path, "sh", "-c", STEPS,
                      files=[AGENT, PRIME, f"{tmp_path}/passwd:/etc/passwd", f"{tmp_path}/group:/etc/group"])
    lines = done.stdout.splitlines()
    answers = [json.loads(line) for line in lines if line.startswith("{")]
    told = [{gpu["render_node"]: (gpu["driver_version"], gpu["why_not"], gpu["help"]) for gpu in answer["gpus"]}
            for answer in answers]
    one, two = NODES["vgem"][0], NODES["virtio_gpu"][0]
    root = ("run as root, or a udev rule that gives the node to a group",)
    render = ("usermod -aG render lab, and a new login",)
    assert told[0] == {node: ("", f"no permission on {node}, which is for root", *root) for node in (one, two)}
    assert told[1] == {node: ("", f"no permission on {node}, which is for the group render", *render) for node in (one, two)}
    # As the message promises, the render nodes are enough, although only root may open the cards.
    no_svm = ("SVM is known of amdgpu and nouveau only", "")
    assert told[2] == {one: ("1.0.0", *no_svm), two: ("0.1.0", *no_svm)}
    assert "drm-prime: open: EACCES" in lines
    # The cards alone are not enough.
    assert told[3] == told[0] and len(told) == 4


# --- A trace of a real kernel, replayed here.

def with_libraries(*programs):
    """Files for a guest without shared libraries: dynamically linked programs and their libraries."""
    libraries = sorted({word for word in run("ldd", *programs).stdout.split() if word.startswith("/lib")})
    return [f"{os.path.realpath(each)}:{each}" for each in libraries] + [f"{each}:/{each.name}" for each in programs]


def test_a_trace_of_the_lab(scenario, tmp_path):
    """The lab's kernel is also one without process_vm_readv()."""
    files = with_libraries(ROOT / "build/faultline", ROOT / "build/faultline-record.so") + [f"{scenario}:/one.scn"]
    script = ("export FAULTLINE_AGENT=false FAULTLINE_LAB=false; "
              "/faultline record /trace -- targets --json /one.scn > /out; cat /trace; echo; cat /out")
    done = in_the_lab(tmp_path, "/bin/sh", "-c", script, files=files)
    assert done.returncode == 0, done
    text, _, told = done.stdout.partition("\n\n")
    trace = tmp_path / "trace"
    trace.write_text(text + "\n")
    asked = [line for line in map(json.loads, text.splitlines()) if line["ev"] == "ask"]
    assert asked and {line["name"] for line in asked} == {"DRM_IOCTL_VERSION"}
    texts = {block["wanted"] for line in asked for block in line["memory"] if "filled" in block}
    assert texts >= {len("vgem"), len("virtio_gpu")}
    again = run(ROOT / "build/faultline", "record", "--replay", trace, "--", "targets", "--json", scenario,
                FAULTLINE_AGENT="false", FAULTLINE_LAB="false")
    assert again.returncode == 0, again
    assert {gpu["driver"]: (gpu["render_node"], gpu["card_node"]) for gpu in json.loads(told)[0]["gpus"]} == NODES
    assert json.loads(again.stdout)[0]["gpus"] == json.loads(told)[0]["gpus"]
