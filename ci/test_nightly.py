"""ci/nightly and the files of ci/machines: which commands are run, in a checkout with fake commands that only log their
arguments; and the errors in a file. Checks of a machine are tested on mocked machines: drm_glue/mocks/test_machines.py."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE / "nightly.d"))

import machine as machines  # noqa: E402

GPU = {"bus": "0000:03:00.0", "driver": "amdgpu", "chip": "MI250X, gfx90a", "svm": ["recoverable", "preempt-and-restore"],
       "why_not": "", "help": "", "unknown": []}
ROWS = [{"target": "host", "available": True, "gpus": [GPU]},
        {"target": "amdgpu:0000:03:00.0/xnack-on", "available": True, "why": ""},
        {"target": "amdgpu:0000:03:00.0/xnack-off", "available": True, "why": ""}]
FAKE = """#!/bin/sh
echo "${0##*/} $*${MORE:+, MORE=$MORE}" >>"$LOG"
case "${0##*/} $1" in
  "faultline targets") cat "$ROWS"; exit 0 ;;
  "faultline run")
    for word; do
      [ "$before" = --json ] && mkdir -p "${word%/*}" && echo '{"ev": "run", "t": 0}' >"$word"
      before=$word
    done
    [ -n "$SLEEPS" ] && sleep "$SLEEPS"; n=$(grep -c "faultline run" "$LOG"); eval "exit \\${CODE$n:-0}" ;;
  "lab root") exit "${ROOT:-0}" ;;
  "lab qemu") exit "${QEMU:-0}" ;;
  "setup "*) exit "${SETUP:-0}" ;;
esac
"""


@pytest.fixture
def tree(tmp_path):
    """A checkout with fake commands, also for those in PATH."""
    shutil.copytree(HERE / "nightly.d", tmp_path / "ci/nightly.d", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE / "machines", tmp_path / "ci/machines")
    shutil.copy2(HERE / "nightly", tmp_path / "ci")
    for name in ("night.py", "journals.py"):
        (tmp_path / "results").mkdir(exist_ok=True)
        shutil.copy2(HERE.parent / "results" / name, tmp_path / "results")
    for name in ("ci/setup", "ci/lab", "ci/opencl-suite", "build/faultline", "bin/ninja"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(FAKE)
        path.chmod(0o755)
    for name in ("migration", "location"):
        (tmp_path / "stress/scenarios" / name).mkdir(parents=True)
    (tmp_path / "rows").write_text(json.dumps(ROWS))
    return tmp_path


def environment(tree, **more):
    return os.environ | {"PATH": f"{tree}/bin:{os.environ['PATH']}", "LOG": f"{tree}/log", "ROWS": f"{tree}/rows"} | more


def nightly(tree, *words, **more):
    """Runs ci/nightly. Returns its exit code, the commands that it called, and its stderr."""
    (tree / "log").write_text("")
    done = subprocess.run([tree / "ci/nightly", *words], env=environment(tree, **more), text=True, capture_output=True, timeout=60)
    calls = re.sub(r" --json results/runs/night-\S+", "", (tree / "log").read_text())
    return done.returncode, calls.splitlines(), done.stderr


root = pytest.mark.skipif(os.geteuid() != 0, reason="the Debian 13 root needs root")
MM = "faultline run -t host -t pinned -t lab:dmirror --time 5400 stress/scenarios"
OPENCL = "faultline run -t opencl -t debian13:opencl:pocl -t debian13:opencl:rusticl --time 1800 stress/scenarios"
AMDGPU = ("faultline run -t lab:amdgpu -t lab:amdgpu:0000:00:03.0/xnack-on/svm -t lab:amdgpu:0000:00:03.0/xnack-off/svm "
          "--time 1800 stress/scenarios")
GPU_STEPS = ["ninja build/softgpu", "lab qemu", "lab build --amdgpu"]


@root
def test_a_plain_night(tree):
    whole = ["setup ", "ninja ", "lab build", "lab root", *GPU_STEPS, MM, AMDGPU, OPENCL, "opencl-suite "]
    assert nightly(tree) == (0, whole, "")
    assert nightly(tree, "--machine", tree / "ci/machines/no-gpu.toml") == (0, whole, "")


@root
def test_a_quick_one_with_options(tree):
    code, calls, _ = nightly(tree, "--quick", "--seed", "7", "--lab-kernel=x")
    assert code == 0 and calls == [
        "setup ", "ninja ", "lab root", *GPU_STEPS,
        "faultline run -t host -t pinned -t lab:dmirror --iterations 100 --seed 7 --lab-kernel=x stress/scenarios",
        AMDGPU.replace("--time 1800", "--iterations 5"), OPENCL.replace("--time 1800", "--iterations 10")]


@root
def test_the_total_comes_last(tree):
    done = subprocess.run([tree / "ci/nightly", "--quick"], env=environment(tree), text=True, capture_output=True, timeout=60)
    journals = sorted((tree / "results/runs").glob("night-*/*.jsonl"))
    assert [path.name for path in journals] == ["1.jsonl", "2.jsonl", "3.jsonl"]
    assert done.stdout.splitlines()[-2:] == ["3 runs, 0 minutes", "Exit 4: the bench itself failed"]  # the fakes write no end


def test_a_journal_of_ones_own_is_refused(tree):
    code, calls, said = nightly(tree, "--json", "x")
    assert code == 2 and not calls and "--json cannot be given" in said


@root
@pytest.mark.parametrize("codes, code", [((0, 0), 0), ((3, 1), 1), ((3, 4), 4), ((1, 4), 1), ((0, 3), 3), ((0, 2), 2),
                                         ((137, 0), 4), ((0, 139), 4)])
def test_exit_codes(tree, codes, code):
    assert nightly(tree, "--quick", CODE1=str(codes[0]), CODE2=str(codes[1]))[0] == code


@root
def test_bad_usage_ends_it(tree):
    code, calls, _ = nightly(tree, "--quick", CODE1="2")
    assert code == 2 and sum(call.startswith("faultline run") for call in calls) == 1


@root
def test_without_the_debian_13_root(tree):
    code, calls, said = nightly(tree, ROOT="1")
    assert code == 3 and "there is no Debian 13 root" in said
    assert calls[-1] == "faultline run -t opencl --time 1800 stress/scenarios"


@root
def test_without_the_gpu_in_software(tree):
    code, calls, said = nightly(tree, QEMU="1")
    assert code == 3 and "there is no GPU in software (ci/lab qemu failed)" in said
    assert AMDGPU not in calls and OPENCL in calls and "lab build --amdgpu" not in calls


def test_what_cannot_be_installed(tree):
    code, calls, said = nightly(tree, SETUP="100")
    assert code == 4 and calls == ["setup "] and "ci/setup failed" in said


@root
def test_an_interrupt_begins_nothing_new(tree):
    (tree / "log").write_text("")
    child = subprocess.Popen([tree / "ci/nightly"], env=environment(tree, SLEEPS="1", CODE1="3"), stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while "faultline run" not in (tree / "log").read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 3
    assert (tree / "log").read_text().count("faultline run") == 1


# --- A machine with GPUs: one target for each bus, its packages, its environment.

def machine_file(tree, text):
    path = tree / "ci/machines/own.toml"
    path.write_text(text)
    return path


OWN = """about = "one"
packages = ["rocm-one", "rocm-two"]
environment = { MORE = "yes" }
[gpu]
driver = "amdgpu"
[[run]]
targets = ["amdgpu:{bus}/xnack-on", "host"]
scenarios = ["stress/scenarios/migration"]
minutes = 5
quick = 3
"""


def test_a_night_on_gpus(tree):
    code, calls, said = nightly(tree, "--machine", machine_file(tree, OWN))
    assert (code, said) == (0, "")
    assert calls == ["setup rocm-one rocm-two", "ninja ", "faultline targets --json -t host -t amdgpu",
                     "faultline run -t amdgpu:0000:03:00.0/xnack-on -t host --time 300 stress/scenarios/migration, MORE=yes"]


@pytest.mark.parametrize("rows, said", [
    ([{"target": "host", "available": True, "gpus": []}], "no GPU of amdgpu"),
    ([ROWS[0] | {"gpus": [GPU | {"driver": "vfio-pci", "chip": "", "help": "the driver amdgpu"}]}],
     "no GPU of amdgpu; there is 0000:03:00.0 vfio-pci\n      would help: the driver amdgpu"),
    (ROWS[:1], "there is no target amdgpu:0000:03:00.0/xnack-on"),
    ([ROWS[0], ROWS[1] | {"available": False, "why": "no /dev/kfd"}],
     "the target amdgpu:0000:03:00.0/xnack-on is not available: no /dev/kfd")])
def test_what_cannot_start_is_never_0(tree, rows, said):
    (tree / "rows").write_text(json.dumps(rows))
    code, calls, words = nightly(tree, "--machine", machine_file(tree, OWN))
    assert code == 3 and said in words and not [call for call in calls if call.startswith("faultline run")]


def test_a_bench_that_does_not_answer(tree):
    (tree / "rows").write_text("nothing")
    code, _, said = nightly(tree, "--machine", machine_file(tree, OWN))
    assert code == 4 and "has no answer" in said
    (tree / "build/faultline").unlink()
    code, _, said = nightly(tree, "--machine", machine_file(tree, OWN))
    assert code == 4 and "ninja builds it" in said


# --- The files.

@pytest.mark.parametrize("path", sorted((HERE / "machines").glob("*.toml")), ids=lambda path: path.stem)
def test_each_file_is_right_and_says_why(path, monkeypatch):
    monkeypatch.chdir(HERE.parent)
    read = machines.read(path.relative_to(HERE.parent).as_posix())
    assert read.about and read.runs
    assert path.read_text().startswith("# ")


@pytest.mark.parametrize("wrong, right, message", [
    ("minutes = 5", "minute = 5", "9:1: unknown key 'minute'\n    minute = 5\n    ^~~~~~\n  did you mean 'minutes'?\n"),
    ("minutes = 5\n", "", "6:3: run has no 'minutes'\n    [[run]]\n      ^~~\n"),
    ("minutes = 5", "minutes = 0", "9:1: minutes must be above 0\n"),
    ("minutes = 5", "  minutes = \"5\"", "9:3: minutes must be a number\n    minutes = \"5\"\n    ^~~~~~~\n"),
    ("minutes = 5", "minutes 5", "9:9: expected '=' after a key in a key/value pair\n    minutes 5\n            ^\n"),
    ("quick = 3\n", "quick = [\n", "10:10: invalid value\n    quick = [\n             ^\n"),
    ("[gpu]", "[gpus]", "4:2: unknown key 'gpus'\n    [gpus]\n     ^~~~\n  did you mean 'gpu'?\n"),
    ("driver =", "drivers =", "5:1: unknown key 'drivers'\n    drivers = \"amdgpu\"\n    ^~~~~~~\n  did you mean 'driver'?\n"),
    ('"amdgpu"', '"amdgpu"\nsvm = ["recoverabel"]', "6:1: unknown kind of SVM 'recoverabel'\n"),
    ('["rocm-one", "rocm-two"]', '"rocm-one"', "2:1: packages must be a list of strings"),
    ('{ MORE = "yes" }', "{ MORE = 1 }", "3:1: environment must be a table of strings"),
    ("[gpu]\ndriver = \"amdgpu\"\n", "", "5:1: {bus} stands for a GPU, and there is no [gpu]\n"),
    ("stress/scenarios/migration", "stress/scenarios/migrations", "8:1: stress/scenarios/migrations is not there\n"),
    ('about = "one"', "", "1:1: the file has no 'about'\n"),
    ("[[run]]", "[run]", "6:2: run is a [[run]] for each run\n"),
])
def test_errors_of_a_file(tree, wrong, right, message):
    assert wrong in OWN
    code, calls, said = nightly(tree, "--check", "--machine", machine_file(tree, OWN.replace(wrong, right)))
    assert code == 2 and calls == []
    assert said.startswith("ci/machines/own.toml:" + message), said


def test_a_file_that_is_not_there(tree):
    code, _, said = nightly(tree, "--machine", "ci/machines/amdgpu-gfx9a.toml")
    assert code == 2
    assert said.endswith("ci/machines/amdgpu-gfx9a.toml: No such file or directory\n  did you mean 'ci/machines/amdgpu-gfx90a.toml'?\n")
