"""Runs each test on every OpenCL device here, in a process of its own (svm_isolation.py).

FAULTLINE_OPENCL_DEVICE names devices, with commas (pocl-0). FAULTLINE_OPENCL_DEADLINE is the limit of a test in seconds."""

import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import svm_devices  # noqa: E402
import svm_isolation  # noqa: E402
import svm_known_bugs  # noqa: E402

FOUND = pytest.StashKey()


def found(config):
    """The devices to test, and what is wrong with drivers or names. Found once per run."""
    if FOUND not in config.stash:
        devices, problems = svm_devices.find()
        asked = [name for name in os.environ.get("FAULTLINE_OPENCL_DEVICE", "").split(",") if name]
        chosen, missing = svm_devices.choose(devices, asked)
        config.stash[FOUND] = chosen, problems, missing
    return config.stash[FOUND]


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(*what): the test is skipped if the device lacks one of these")


def pytest_generate_tests(metafunc):
    if "device_id" not in metafunc.fixturenames:
        return
    devices, problems, missing = found(metafunc.config)
    values = [device["id"] for device in devices]
    if not values:
        reason = "; ".join(missing + problems)
        values = [pytest.param("none", marks=pytest.mark.skip(reason=reason))]
    metafunc.parametrize("device_id", values)


def pytest_collection_modifyitems(config, items):
    if FOUND in config.stash:
        svm_known_bugs.mark(items, config.stash[FOUND][0])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    if "device_id" not in getattr(item, "fixturenames", ()):
        return None
    svm_isolation.run(item, float(os.environ.get("FAULTLINE_OPENCL_DEADLINE", 60)))
    return True


def pytest_terminal_summary(terminalreporter, config):
    if FOUND in config.stash:
        devices, problems, missing = config.stash[FOUND]
        for device in devices:
            levels = ", ".join(device["svm"]) or "no shared virtual memory"
            terminalreporter.write_line(f"OpenCL {device['id']}: {device['device']}, driver {device['driver']}: {levels}")
        for line in missing + problems:
            terminalreporter.write_line(f"OpenCL: {line}")


@pytest.fixture
def bench(request, device_id):
    import svm_kit
    bench = svm_kit.Bench(device_id)
    for mark in request.node.iter_markers("needs"):
        bench.require(*mark.args)
    return bench


@pytest.fixture
def cl(bench):
    return bench.cl


@pytest.fixture(params=["coarse", "fine", "system"])
def level(request, bench):
    """Runs the test at each level of sharing that the device has."""
    return bench.level(request.param)
