"""Bugs of drivers that tests here found. Each test stays as the specification has it and is expected to fail on
that driver, strictly: with the bug fixed, its passing fails the run, and the line goes."""

import dataclasses
import re

import pytest


@dataclasses.dataclass(frozen=True)
class Bug:
    devices: str     # of the device's name here
    drivers: str     # of its driver version
    test: str        # of the test with its parameters, after the device's
    reproducer: str  # under opencl_tests/bugs/
    what: str
    crash: str = ""  # the signal, where the driver takes the process with it
    hang: bool = False  # a call that does not return


POCL_3 = ("pocl-.*", r"3\..*")

BUGS = [
    Bug(*POCL_3, r"test_flags_that_are_not_of_svm\[.*", "svm_alloc_flags.c",
        "clSVMAlloc takes flags that are not of shared virtual memory"),
    Bug(*POCL_3, r"test_the_scope_of_all_devices_is_a_feature_of_the_language\[.*", "all_devices_scope.c",
        "CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES without __opencl_c_atomic_scope_all_devices"),
    Bug(*POCL_3, r"test_map_with_undefined_flags\[.*", "svm_map_flags.c", "clEnqueueSVMMap takes undefined flags"),
    Bug(*POCL_3, r"test_fill_arguments\[.*-pattern-null\]", "svm_fill_null_pattern.c",
        "clEnqueueSVMMemFill dereferences a null pattern", crash="SIGSEGV"),
    Bug(*POCL_3, r"test_migrate_outside_of_an_allocation\[.*", "svm_migrate_range.c",
        "clEnqueueSVMMigrateMem takes ranges that are in no allocation"),
    Bug(*POCL_3, r"test_a_blocking_command_after_one_that_failed\[.*", "blocking_after_failed_event.c",
        "a blocking command never returns where an event that it waits for has failed", hang=True),
    Bug(*POCL_3, r"test_exec_info_arguments\[.*", "exec_info_arguments.c",
        "clSetKernelExecInfo takes whatever it is given"),
    Bug(*POCL_3, r"test_system_memory_that_the_device_lacks\[.*", "exec_info_arguments.c",
        "clSetKernelExecInfo takes CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM on a device without it"),
    Bug(*POCL_3, r"test_a_sub_buffer_uses_the_svm_pointer\[.*", "sub_buffer_uses_svm.c",
        "CL_MEM_USES_SVM_POINTER of a sub-buffer is CL_FALSE"),
]


def of(device, test):
    for bug in BUGS:
        if re.fullmatch(bug.devices, device["id"]) and re.fullmatch(bug.drivers, device["driver"]) and \
                re.fullmatch(bug.test, test):
            return bug
    return None


def mark(items, devices):
    by_name = {device["id"]: device for device in devices}
    for item in items:
        device = by_name.get(getattr(item, "callspec", None) and item.callspec.params.get("device_id"))
        bug = device and of(device, item.name)
        if bug:
            item.known_bug = bug
            raises = (AssertionError, pytest.fail.Exception) + ((TimeoutError,) if bug.hang else ())
            reason = f"{device['driver']}: {bug.what} (opencl_tests/bugs/{bug.reproducer})"
            item.add_marker(pytest.mark.xfail(strict=True, raises=raises, reason=reason))
