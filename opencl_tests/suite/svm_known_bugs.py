"""Driver bugs that tests here have found. The tests follow the specification and are expected to fail on these drivers,
strictly: when a bug is fixed, its test passes, this fails the run, and the line here must go."""

import dataclasses
import re

import pytest


@dataclasses.dataclass(frozen=True)
class Bug:
    devices: str     # regular expression for the device's name here
    drivers: str     # regular expression for its driver version
    test: str        # regular expression for the test with its parameters, after the device's
    reproducer: str  # under opencl_tests/bugs/
    what: str
    crash: str = ""  # the signal, if the driver ends the process
    hang: bool = False  # a call that does not return
    refuses: bool = False  # a call fails that must succeed


POCL_3 = ("pocl-.*", r"3\..*")
POCL_6 = ("pocl-.*", r"6\..*")
POCL = ("pocl-.*", r"[36]\..*")
RUSTICL = ("rusticl-.*", r"25\.0\..*")

BUGS = [
    Bug(*POCL_3, r"test_flags_that_are_not_of_svm\[.*", "svm_alloc_flags.c",
        "clSVMAlloc takes flags that are not of shared virtual memory"),
    Bug(*RUSTICL, r"test_(flags_that_are_not_of_svm|sharing_that_the_device_lacks)\[.*", "svm_alloc_flags.c",
        "clSVMAlloc takes any flags"),
    Bug(*RUSTICL, r"test_flags_that_exclude_each_other\[.*_.*\+.*_(ONLY|WRITE)\]", "svm_alloc_flags.c",
        "clSVMAlloc takes any flags"),
    Bug(*POCL_3, r"test_the_scope_of_all_devices_is_a_feature_of_the_language\[.*", "all_devices_scope.c",
        "CL_DEVICE_ATOMIC_SCOPE_ALL_DEVICES without __opencl_c_atomic_scope_all_devices"),
    Bug(*POCL, r"test_map_with_undefined_flags\[.*", "svm_map_flags.c", "clEnqueueSVMMap takes undefined flags"),
    Bug(*POCL_3, r"test_fill_arguments\[.*-pattern-null\]", "svm_fill_null_pattern.c",
        "clEnqueueSVMMemFill dereferences a null pattern", crash="SIGSEGV"),
    Bug(*RUSTICL, r"test_fill_arguments\[.*-pattern-empty\]", "svm_fill_empty_pattern.c",
        "clEnqueueSVMMemFill divides by the size of the pattern", crash="SIGABRT"),
    Bug(*POCL_6, r"test_fill_memory_of_the_host\[.*", "svm_fill_system_memory.c",
        "clEnqueueSVMMemFill crashes on memory that clSVMAlloc did not give", crash="SIGSEGV"),
    Bug(*POCL_6, r"test_memcpy_over_itself\[.*", "svm_memcpy_errors.c",
        "clEnqueueSVMMemcpy crashes where it fails and an event is asked for", crash="SIG(SEGV|ABRT)"),
    Bug(*POCL_6, r"test_an_invalid_event_to_wait_for\[.*-(memcpy|migrate)\]", "svm_memcpy_errors.c",
        "clEnqueueSVMMemcpy and MigrateMem crash where they fail and an event is asked for", crash="SIG(SEGV|ABRT)"),
    Bug(*POCL_3, r"test_migrate_outside_of_an_allocation\[.*", "svm_migrate_range.c",
        "clEnqueueSVMMigrateMem takes ranges that are in no allocation"),
    Bug(*POCL_6, r"test_migrate_outside_of_an_allocation\[.*", "svm_migrate_range.c",
        "clEnqueueSVMMigrateMem takes memory that is in no allocation, and fails with another error, or crashes, for "
        "a range that is too long", crash="SIG(SEGV|ABRT)"),
    Bug(*RUSTICL, r"test_migrate_arguments\[.*-undefined-flags\]", "svm_migrate_flags.c",
        "clEnqueueSVMMigrateMem takes undefined flags"),
    Bug(*POCL, r"test_a_blocking_command_after_one_that_failed\[.*", "blocking_after_failed_event.c",
        "a blocking command never returns where an event that it waits for has failed", hang=True),
    Bug(*RUSTICL, r"test_a_blocking_command_after_one_that_failed\[.*", "blocking_after_failed_event.c",
        "a blocking command returns the status of the event that failed as its own error"),
    Bug(*POCL_3, r"test_exec_info_arguments\[.*", "exec_info_arguments.c",
        "clSetKernelExecInfo takes whatever it is given"),
    Bug(*POCL_6, r"test_exec_info_arguments\[.*-(null|part)-.*", "exec_info_arguments.c",
        "clSetKernelExecInfo takes sizes that do not fit"),
    Bug(*RUSTICL, r"test_an_empty_list_takes_it_back\[(coarse|fine)-.*", "exec_info_empty.c",
        "clSetKernelExecInfo refuses an empty list", refuses=True),
    Bug(*POCL_3, r"test_system_memory_that_the_device_lacks\[.*", "exec_info_arguments.c",
        "clSetKernelExecInfo takes CL_KERNEL_EXEC_INFO_SVM_FINE_GRAIN_SYSTEM on a device without it"),
    Bug(*POCL, r"test_a_sub_buffer_uses_the_svm_pointer\[.*", "sub_buffer_uses_svm.c",
        "CL_MEM_USES_SVM_POINTER of a sub-buffer is CL_FALSE"),
    Bug(*RUSTICL, r"test_a_sub_buffer_that_is_misaligned_or_too_long\[.*", "sub_buffer_alignment.c",
        "clCreateSubBuffer takes an origin that is not aligned"),
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
            # A wrong error is also an AssertionError (svm_kit.Fails). If a call fails that must succeed, it is the module's
            # Error, which is a RuntimeError.
            raises = (AssertionError, pytest.fail.Exception) + ((TimeoutError,) if bug.hang else ()) + \
                ((RuntimeError,) if bug.refuses else ())
            reason = f"{device['driver']}: {bug.what} (opencl_tests/bugs/{bug.reproducer})"
            item.add_marker(pytest.mark.xfail(strict=True, raises=raises, reason=reason))
