"""A failure of one test, of a driver or of its installation is reported once, and the rest of the run goes on."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import svm_devices
import svm_known_bugs

SUITE = pathlib.Path(__file__).parent


def pytest_on(file, *words, **environment):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rfEsx", str(SUITE / file), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | environment)


@pytest.fixture(scope="module")
def misbehaving():
    devices, problems = svm_devices.find()
    if not devices:
        pytest.skip("; ".join(problems))
    return pytest_on("misbehaving.py", FAULTLINE_OPENCL_DEADLINE="6", FAULTLINE_OPENCL_DEVICE=devices[0]["id"]).stdout


def section(output, test):
    """The part of the report about one test."""
    found = re.search(rf"^_+ (?:ERROR at \w+ of )?{test}\[.*?(?=^_+ [A-Za-z]|^=+ short test|^OpenCL )", output, re.M | re.S)
    assert found, output
    return found.group(0)


def test_the_rest_goes_on(misbehaving):
    assert "7 failed, 4 passed, 1 error" in misbehaving, misbehaving


@pytest.mark.parametrize("test, words", [
    ("test_crash", "the process of the test was killed by SIGSEGV"),
    ("test_exit", "the process of the test ended with exit status 3"),
    ("test_hang", "the test did not end within 6 s; where it was"),
    ("test_hang", "in test_hang"),
    ("test_hung_kernel", r"clFinish did not return within 2 s; the queue: 1 commands complete, ndrange-kernel \w+"),
    ("test_wait_for_nothing", "clWaitForEvents did not return within 1 s; the queue: 0 commands complete, svm-memfill"),
    ("test_kernel_that_does_not_build", "clBuildProgram: CL_BUILD_PROGRAM_FAILURE .the build log says where"),
    ("test_kernel_that_does_not_build", "nowhere"),
    ("test_out_of_memory", "clSVMAlloc: CL_MEM_OBJECT_ALLOCATION_FAILURE .less memory, or other programs ended"),
    ("test_crash_in_teardown", "the process of the test was killed by SIGABRT")])
def test_each_says_what_went_wrong(misbehaving, test, words):
    assert re.search(words, section(misbehaving, test))


def one_line(run, words):
    """Checks that the run reached its end and reported this problem in one line."""
    lines = [line for line in run.stdout.splitlines() if line.startswith("OpenCL: ")]
    assert len(lines) == 1 and re.search(words, lines[0]), run.stdout
    return run


def test_no_driver(tmp_path):
    run = one_line(pytest_on("test_pointers.py", OCL_ICD_VENDORS=str(tmp_path)),
                   "no OpenCL device: install a driver, such as pocl-opencl-icd, or let OCL_ICD_VENDORS name one")
    assert " passed" not in run.stdout and " skipped" in run.stdout


def vendors(tmp_path, library):
    """A folder with this driver and all installed ones."""
    for file in pathlib.Path("/etc/OpenCL/vendors").glob("*.icd"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "broken.icd").write_text(f"{library}\n")
    return str(tmp_path)


@pytest.mark.parametrize("case", ["missing", "no library"])
def test_a_driver_that_does_not_load(tmp_path, case):
    library = tmp_path / "libbroken.so"
    if case == "no library":
        library.write_text("not an ELF file")
    devices, problems = found_with(OCL_ICD_VENDORS=vendors(tmp_path, library))
    assert re.search(r"broken\.icd names .*libbroken\.so, which does not load: .*; install it or remove the file",
                     problems[0])
    assert devices == svm_devices.find()[0]  # all other devices are still found


def test_a_driver_that_crashes(tmp_path):
    source = "__attribute__((constructor)) static void load(void) { __builtin_trap(); }"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", tmp_path / "libcrash.so"], input=source, text=True,
                   check=True)
    devices, problems = found_with(OCL_ICD_VENDORS=vendors(tmp_path, tmp_path / "libcrash.so"))
    assert devices == []
    assert re.search("the process that asks the drivers for their devices ended with exit status -(4|5|11)", problems[0])


def found_with(**environment):
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        return svm_devices.find()
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def test_a_device_that_is_not_here():
    devices, _ = svm_devices.find()
    if not devices:
        pytest.skip("no OpenCL device")
    there = devices[0]["id"]
    run = pytest_on("test_devices.py", FAULTLINE_OPENCL_DEVICE=f"{there},{there}0")
    one_line(run, f"unknown OpenCL device '{there}0'; did you mean '{there}'")
    assert "test_every_device_that_was_asked_for_is_here" in run.stdout and run.returncode == 1
    assert " passed" in run.stdout


def test_known_bugs_are_strict_and_name_a_reproducer():
    for bug in svm_known_bugs.BUGS:
        assert (SUITE.parent / "bugs" / bug.reproducer).exists()
    broken = svm_known_bugs.of({"id": "pocl-0", "driver": "3.1+debian"}, "test_map_with_undefined_flags[pocl-0]")
    assert broken.reproducer == "svm_map_flags.c"
    assert svm_known_bugs.of({"id": "pocl-0", "driver": "7.0"}, "test_map_with_undefined_flags[pocl-0]") is None
    assert svm_known_bugs.of({"id": "pocl-0", "driver": "3.1+debian"}, "test_unmap_of_null[pocl-0]") is None


def test_two_devices_of_a_platform():
    """Devices of one platform share an address space with each other and with the host. PoCL can offer several devices."""
    devices, _ = svm_devices.find()
    if not any(device["id"] == "pocl-0" and device["driver"].startswith("3.") for device in devices):
        pytest.skip("no PoCL 3, whose devices can be doubled")
    run = pytest_on("test_address_space.py", "-k", "lists and coarse or across_buffers", POCL_DEVICES="pthread pthread",
                    FAULTLINE_OPENCL_DEVICE="pocl-0")
    assert run.returncode == 0 and " passed" in run.stdout, run.stdout
    assert [device["id"] for device in found_with(POCL_DEVICES="pthread pthread")[0]] == ["pocl-0", "pocl-1"]
