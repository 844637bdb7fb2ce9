"""The tests in the README's table catch their faults, and none of them fails without a fault."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

OPENCL_TESTS = pathlib.Path(__file__).resolve().parents[1]
SUITE = OPENCL_TESTS / "suite"
BUILD = pathlib.Path(os.environ.get("FAULTLINE_BUILD", OPENCL_TESTS.parent / "build"))
LAYER = BUILD / "opencl/broken-driver.so"
sys.path.insert(0, str(SUITE))

import svm_devices  # noqa: E402
import test_cts_table  # noqa: E402

# Tests that no fault is for: each needs another kind of device than the one with the faults, or no device.
UNCONTROLLED = {"test_allocation.py::test_sharing_that_the_device_lacks",
                "test_enqueue.py::test_fill_memory_of_the_host",
                "test_devices.py::test_every_device_that_was_asked_for_is_here",
                "test_generic.py::test_a_generic_pointer_to_shared_memory",
                "test_system_memory.py::test_what_system_calls_leave"}


def table():
    """The table: tests by the fault that they catch."""
    rows = {}
    for line in (OPENCL_TESTS / "README.md").read_text().splitlines():
        found = re.match(r"\| `([a-z-]+)` \|[^|]*\|(.*)\|$", line)
        if found:
            rows[found.group(1)] = test_cts_table.named("|" + found.group(2) + "|")
    return rows


ALL = table()
TABLE = {fault: tests for fault, tests in ALL.items() if tests}  # scenarios catch the other faults: test_target.py


@pytest.fixture(scope="module")
def device():
    """The first device that has everything that the faults need."""
    devices, problems = svm_devices.find()
    for device in devices:
        if {"coarse-grain-buffer", "fine-grain-buffer", "atomics"} <= set(device["svm"]):
            return device["id"]
    pytest.skip("no OpenCL device with fine-grained buffers and atomics" + "".join("; " + each for each in problems))


def run(device, tests, fault):
    """Runs these tests; returns the failed ones and the whole output."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-rfEx", "--tb=no"]
    environment = os.environ | {"OPENCL_LAYERS": str(LAYER), "FAULTLINE_OPENCL_FAULT": fault,
                                "FAULTLINE_OPENCL_DEVICE": device, "FAULTLINE_OPENCL_DEADLINE": "10"}
    done = subprocess.run(command + [str(SUITE / test) for test in tests], env=environment, capture_output=True,
                          text=True, timeout=600)
    # A known bug of the driver shows with a fault and without.
    outcome = "FAILED|XFAIL" if fault else "FAILED"
    failed = re.findall(rf"^(?:{outcome}) \S*?(test_\w+\.py)::(\w+)", done.stdout, re.M)
    return {f"{file}::{name}" for file, name in failed}, done.stdout + done.stderr


@pytest.mark.parametrize("fault", TABLE)
def test_fault_is_caught(device, fault):
    failed, output = run(device, TABLE[fault], fault)
    assert set(TABLE[fault]) - failed == set(), output


def test_without_a_fault_nothing_fails(device):
    failed, output = run(device, sorted({test for tests in TABLE.values() for test in tests}), "")
    assert failed == set() and " passed" in output and "error" not in output.splitlines()[-1], output


def test_every_fault_is_in_the_table(device):
    failed, output = run(device, ["test_devices.py"], "no-such-fault")
    words = re.search(r"unknown fault 'no-such-fault'; there are ([a-z -]+)", output)
    assert words and set(words.group(1).split()) == set(ALL)


def test_every_check_is_seen_to_fail():
    caught = {test for tests in TABLE.values() for test in tests}
    assert test_cts_table.in_suite() - UNCONTROLLED - caught == set()
