"""The target `opencl` on the OpenCL drivers of this machine: healthy drivers agree, and others are reported."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
SVM = ROOT / "stress/scenarios/svm"


def faultline(folder, *words, **environment):
    return subprocess.run([ROOT / "build/faultline", *map(str, words)], cwd=folder, text=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | environment)


def rows(folder, **environment):
    answer = faultline(folder, "targets", "--json", SVM, **environment)
    return {row["target"]: row for row in json.loads(answer.stdout)}


@pytest.fixture(scope="module")
def pocl(tmp_path_factory):
    if "opencl:pocl/0" not in rows(tmp_path_factory.mktemp("targets")):
        pytest.skip("PoCL is not installed")
    return "opencl:pocl/0"


def verdicts(result):
    words = [line.split() for line in result.stdout.splitlines() if line.startswith("Verdict ")]
    return {each[1]: each[2] for each in words}


def run(folder, target, *scenarios, iterations=40, **environment):
    return faultline(folder, "run", "-t", target, "--iterations", iterations, "--json", "j.jsonl", *scenarios, **environment)


def test_scenarios_agree(tmp_path, pocl):
    result = run(tmp_path, pocl, SVM)
    assert result.returncode == 0, result.stdout + result.stderr
    told = verdicts(result)
    assert told["svm-coarse-map"] == told["svm-message-passing"] == told["svm-fine-turns"] == told["svm-host-copies"] == "agree"
    assert set(told.values()) <= {"agree", "skipped"}


@pytest.mark.parametrize("name", ["opencl", "opencl:pocl"])
def test_the_first_device_that_the_name_begins(tmp_path, pocl, name):
    result = run(tmp_path, name, SVM / "coarse-map.scn", iterations=5)
    assert result.returncode == 0
    assert "driver" in result.stdout  # the verdict names the device


# Negative controls of the scenarios: a driver with one fault (layer/).
LAYER = ROOT / "build/opencl/broken-driver.so"
FAULTS = {
    "lost-unmap": "svm-coarse-map",
    "stale-map": "svm-coarse-map",
    "short-migrate": "svm-coarse-copy-fill",
    "lost-host-copies": "svm-host-copies",
    "early-wait": "svm-fine-turns",
    "exec-info-ignored": "svm-message-passing",
    "lost-updates": "svm-counter",
    "early-read": "svm-coarse-map",  # in the out-of-order queue
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_driver_is_caught(tmp_path, pocl, fault):
    scenario = SVM / (FAULTS[fault].removeprefix("svm-") + ".scn")
    result = run(tmp_path, pocl, scenario, OPENCL_LAYERS=str(LAYER),
                 FAULTLINE_OPENCL_FAULT=fault)
    assert result.returncode == 1, result.stdout + result.stderr
    assert verdicts(result) == {FAULTS[fault]: "forbidden"}


# The whole device fails: one verdict with the driver's message, and the next scenario is tried.
TROUBLES = {
    "no-compiler": (4, "error", "a kernel does not build", "this compiler is out of order"),
    "no-memory": (4, "error", "cannot allocate a buffer", "clSVMAlloc gave nothing for 8192 bytes"),
    "lost-device": (4, "error", "the device is gone", "CL_DEVICE_NOT_AVAILABLE (the device is gone or taken"),
}


@pytest.mark.parametrize("fault", TROUBLES)
def test_a_device_that_goes_wrong_is_told(tmp_path, pocl, fault):
    result = run(tmp_path, pocl, SVM / "coarse-map.scn", SVM / "fine-turns.scn",
                 OPENCL_LAYERS=str(ROOT / "build/opencl/broken-driver.so"), FAULTLINE_OPENCL_FAULT=fault)
    code, verdict, *words = TROUBLES[fault]
    assert result.returncode == code, result.stdout + result.stderr
    assert verdicts(result) == dict.fromkeys(["svm-coarse-map", "svm-fine-turns"], verdict)
    assert all(each in result.stdout for each in words), result.stdout


# A driver that ends the process is a finding, with the driver's function, the statement and the iteration.
CRASHES = {
    "crash-in-copy": "took SIGSEGV at address 0x10 in clEnqueueSVMMemcpy, called by P.gpu at #2 (line 9)",
    "crash-in-context": "took SIGSEGV at address 0x10 in clCreateContext, called by P.gpu in the set-up of the iteration",
    "crash-in-thread": "took SIGSEGV at address 0x10 in a thread of its own, while P.gpu was in clWaitForEvents in the set-up",
    "crash-in-blocked-thread": "took SIGSEGV at address 0x10 in a thread of its own, while P.gpu was in clWaitForEvents",
    # PoCL's LLVM has installed a handler for this signal.
    "abort-in-launch": "ended the process with SIGABRT, while P.gpu was in clEnqueueNDRangeKernel at r1 (line 16)",
    "exit-in-fill": "ended the process with status 3, while P.gpu was in clEnqueueSVMMemFill at #1 (line 8)",
}


@pytest.mark.parametrize("fault", CRASHES)
def test_a_driver_that_crashes_is_a_finding(tmp_path, pocl, fault):
    result = run(tmp_path, pocl, SVM / "coarse-copy-fill.scn", "--seed", 5, OPENCL_LAYERS=str(LAYER), FAULTLINE_OPENCL_FAULT=fault)
    assert result.returncode == 1, result.stdout + result.stderr
    assert verdicts(result) == {"svm-coarse-copy-fill": "health"}
    assert f"Crash: iteration 0 (seed 5): the driver {CRASHES[fault]}" in result.stdout, result.stdout
    assert re.search(r"^Target: opencl:pocl/0, Linux .*, driver \S+$", result.stdout, re.M), result.stdout
    assert "; 3 times in all\n" in result.stdout  # and no more: the rest would be the same


def test_a_process_that_is_killed_is_no_finding(tmp_path, pocl):
    result = run(tmp_path, pocl, SVM / "coarse-copy-fill.scn", OPENCL_LAYERS=str(LAYER), FAULTLINE_OPENCL_FAULT="killed-in-copy")
    assert (result.returncode, verdicts(result)) == (4, {"svm-coarse-copy-fill": "error"}), result.stdout
    assert "ended by nobody in the scenario: SIGKILL, which a person or a program outside has sent" in result.stdout


def test_a_driver_that_crashes_when_it_is_listed(tmp_path, pocl):
    broken = {"OPENCL_LAYERS": str(LAYER), "FAULTLINE_OPENCL_FAULT": "crash-when-listed"}
    crash = r"the OpenCL driver of \S+\.icd crashed when it was asked for its devices: SIGSEGV in clGetDeviceIDs; would help: "
    row = rows(tmp_path, **broken)["opencl"]
    assert not row["available"] and re.match(crash, row["why"])
    result = run(tmp_path, pocl, SVM / "coarse-copy-fill.scn", **broken)
    assert (result.returncode, verdicts(result)) == (1, {"svm-coarse-copy-fill": "health"}), result.stdout + result.stderr
    assert re.search("^Crash: " + crash, result.stdout, re.M)


def test_no_driver_is_in_the_agent_or_its_runner(tmp_path, pocl):
    """The agent and its runner load no driver, so no driver can crash there. Only processes under test do, and the child that
    lists devices."""
    def libraries(pid):
        return {line.split()[-1].rpartition("/")[2].partition(".")[0] for line in pathlib.Path(f"/proc/{pid}/maps").open() if ".so" in line}

    def children(pid):
        return [int(each) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for each in (task / "children").read_text().split()]

    agent = subprocess.Popen([ROOT / "build/faultline-agent-opencl", "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    say = {"op": "run", "id": 1, "target": pocl, "text": (SVM / "coarse-map.scn").read_text(), "seed": 1, "iterations": 10**9}
    print(json.dumps(say), file=agent.stdin, flush=True)
    assert json.loads(agent.stdout.readline())["ev"] == "batch"
    [runner] = children(agent.pid)
    # Beside the process under test there may be the disturber, which has none of its memory.
    assert ["libpocl" in libraries(child) for child in children(runner)].count(True) == 1
    assert "libpocl" not in libraries(agent.pid) | libraries(runner)
    agent.communicate(json.dumps({"op": "quit"}) + "\n", timeout=30)


def test_a_hung_kernel_is_ended(tmp_path, pocl):
    result = run(tmp_path, pocl, SVM / "fine-turns.scn", SVM / "coarse-copy-fill.scn", "--deadline", 1,
                 OPENCL_LAYERS=str(ROOT / "build/opencl/broken-driver.so"), FAULTLINE_OPENCL_FAULT="hung-kernel")
    assert result.returncode == 1, result.stdout + result.stderr
    assert verdicts(result) == {"svm-fine-turns": "hang", "svm-coarse-copy-fill": "agree"}  # which stores by fills
    assert "the queue does not move on: clEnqueueNDRangeKernel running" in result.stdout
    block = result.stdout[result.stdout.index("\nHang: "):result.stdout.index("\nAgain: ")]
    assert "of CPU time without getting on" in block and "repeated with 4 s it hung again" in block
    assert re.search(r"\n  \| process P \(pid \d+\)\n  \|   P\.gpu \(tid \d+\): \S+ \(line \d+\), state S, ", block), block
    assert re.search(r"thread '[^']+' \(tid \d+\): no statement, state R, \d", block), "the driver's, which runs the kernel"


def test_a_slow_compiler_is_no_hang(tmp_path, pocl):
    """The deadline is for statements: it begins after devices are opened and kernels are built."""
    result = run(tmp_path, pocl, SVM / "coarse-map.scn", "--deadline", 1, iterations=5,
                 OPENCL_LAYERS=str(LAYER), FAULTLINE_OPENCL_FAULT="slow-compiler")
    assert result.returncode == 0, result.stdout + result.stderr
    assert verdicts(result) == {"svm-coarse-map": "agree"}
    assert "Slow" not in result.stdout


def test_without_a_driver_that_is_said(tmp_path):
    empty = tmp_path / "vendors"
    empty.mkdir()
    why = f"no OpenCL driver is installed ({empty} has no *.icd file): apt-get install pocl-opencl-icd"
    assert rows(tmp_path, OCL_ICD_VENDORS=str(empty))["opencl"]["why"] == why
    result = run(tmp_path, "opencl", SVM / "coarse-map.scn", OCL_ICD_VENDORS=str(empty))
    assert (result.returncode, result.stderr) == (2, f"faultline: the target opencl is not here: {why}\n")


def test_a_driver_that_does_not_load_is_named(tmp_path):
    (tmp_path / "broken.icd").write_text("libno-such-driver.so\n")
    result = run(tmp_path, "opencl", SVM / "coarse-map.scn", OCL_ICD_VENDORS=str(tmp_path))
    assert result.returncode == 2
    assert "broken.icd: libno-such-driver.so: cannot open shared object file" in result.stderr
    assert "reinstall this driver, or remove the file" in result.stderr


def test_from_python(pocl):
    sys.path.append(str(ROOT / "build/python"))
    faultline = pytest.importorskip("faultline")
    result = faultline.run((SVM / "coarse-map.scn").read_text(), pocl, iterations=5)
    assert result["verdict"] == "agree"


def test_undefined_behaviour_is_never_called_forbidden(tmp_path, pocl):
    (tmp_path / "race.scn").write_text("scenario race\ndevice d: fatal-faults\nprocess P\n  a: 1 page svm-fine = 0\n"
                                       "thread P.gpu on d\n  store a[0] 1\nthread P.cpu\n  r = load a[0]\n")
    result = run(tmp_path, pocl, "race.scn")
    assert verdicts(result) == {"race": "skipped"}
    assert "its behaviour is undefined: a data race on a[0]" in result.stdout
    assert result.returncode == 3  # nothing was decided


def test_what_a_device_lacks_is_said(tmp_path, pocl):
    lacks = {each["scenario"]: each["why"] for each in rows(tmp_path)[pocl]["does_not_run"]}
    assert lacks.get("svm-iriw") in (None, "the device reaches SVM buffers only, no other memory")


@pytest.fixture(scope="module")
def debian13(tmp_path_factory):
    there = {name: row for name, row in rows(tmp_path_factory.mktemp("targets")).items() if name.startswith("debian13:opencl:")}
    if not there or not all(row["available"] for row in there.values()):
        pytest.skip("; ".join(row["why"] for row in there.values()) or "no Debian 13 root: ci/lab root")
    return there


def test_times_of_commands(tmp_path, pocl):
    result = run(tmp_path, pocl, SVM / "coarse-map.scn")
    told = re.search(r"^Commands svm-coarse-map (\d+): waited [\d.]+ us \(longest [\d.]+\), ran [\d.]+ us", result.stdout, re.M)
    assert told and int(told.group(1)) >= 40 * 10, result.stdout
    assert "Out of order" not in result.stdout
    ended = [json.loads(line) for line in (tmp_path / "j.jsonl").read_text().splitlines()]
    commands = next(record["commands"] for record in ended if record["ev"] == "verdict")
    assert commands["count"] == int(told.group(1)) and commands["disordered"] == 0
    assert 0 < commands["ran"]["median_ns"] <= commands["ran"]["longest_ns"]


def test_times_out_of_order_are_told(tmp_path, pocl):
    result = run(tmp_path, pocl, SVM / "coarse-map.scn", OPENCL_LAYERS=str(LAYER), FAULTLINE_OPENCL_FAULT="false-answers")
    assert verdicts(result) == {"svm-coarse-map": "agree"}
    assert "Out of order, the driver says (queued, submitted, started, ended): " in result.stdout, result.stdout


def those_with(there, what):
    return [name for name, row in there.items() if what(row)]


def test_unified_shared_memory_and_device_addresses(tmp_path, debian13):
    usm = those_with(debian13, lambda row: "access" in row["usm"]["device"])
    addresses = those_with(debian13, lambda row: row["device_address"])
    assert usm and addresses  # PoCL 6 has both
    for name in usm:
        result = run(tmp_path, name, *SVM.glob("usm-*.scn"), iterations=100)
        assert result.returncode == 0, result.stdout + result.stderr
        told = verdicts(result)
        assert told["usm-turns"] == told["usm-copies"] == told["usm-device-message"] == "agree"
        if "concurrent_atomics" not in debian13[name]["usm"]["shared"]:
            assert told["usm-message"] == "skipped"
            assert "host and device cannot use the device's usm-shared at once" in result.stdout
    for name in addresses:
        result = run(tmp_path, name, SVM / "device-address.scn", iterations=100)
        assert verdicts(result) == {"device-address": "agree"}, result.stdout + result.stderr


@pytest.mark.parametrize("fault, scenario, verdict", [
    ("lost-usm", "usm-copies", "forbidden"),
    ("lost-usm", "usm-turns", "forbidden"),
    ("lost-unmap", "device-address", "forbidden"),
    ("final-addresses", "device-address", "agree"),  # no fault, and addresses that are not the host's
])
def test_extensions_of_another_driver(tmp_path, debian13, fault, scenario, verdict):
    name = those_with(debian13, lambda row: "access" in row["usm"]["device"] and row["device_address"])[0]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as shared:  # the root sees this folder of the machine
        layer = shutil.copy(LAYER, shared)
        result = run(tmp_path, name, SVM / (scenario + ".scn"), OPENCL_LAYERS=layer, FAULTLINE_OPENCL_FAULT=fault)
    assert verdicts(result) == {scenario: verdict}, result.stdout + result.stderr


def test_a_crash_beside_faults_that_are_expected(tmp_path, debian13):
    """A fault at an address of the scenario is an expected end of the process. A fault at another address, in any thread, is
    the driver's crash."""
    expected = ROOT / "stress/scenarios/races/unmap-and-map-again.scn"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as shared:
        layer = shutil.copy(LAYER, shared)
        for name in debian13:
            for fault in "crash-in-thread", "crash-in-blocked-thread":
                result = run(tmp_path, name, expected, OPENCL_LAYERS=layer, FAULTLINE_OPENCL_FAULT=fault)
                assert verdicts(result) == {"unmap-and-map-again": "health"}, result.stdout + result.stderr
                assert "the driver took SIGSEGV at address 0x10 in a thread of its own" in result.stdout


def test_under_debian_13(tmp_path, debian13):
    """PoCL 6 and rusticl reach any memory, so they also run scenarios about mappings."""
    for name in debian13:
        result = run(tmp_path, name, SVM / "coarse-map.scn", SVM / "host-copies.scn",
                     ROOT / "stress/scenarios/races/unmap-and-map-again.scn", iterations=5)
        assert result.returncode == 0, result.stdout + result.stderr
        assert set(verdicts(result).values()) == {"agree"}
