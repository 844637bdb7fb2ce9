"""Which folder may include which, so that dependencies go one way. And limits on the size of files."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent

# The folders that a folder's sources may include, besides their own. Tests may include more, because they are linked with
# what they need.
VALUES = ["harness", "harness/language"]  # the values that all folders exchange
ENGINE = ["kernels_ref/engine"]
PROTOCOL = ENGINE + ["kernels_ref/protocol/machine"]
PROTOCOLS = PROTOCOL + [f"kernels_ref/protocol/{each}" for each in ("notifiers", "fork", "device_memory", "drivers")]
MM = VALUES + ENGINE + ["kernels_ref/mm"]
MAY = {
    "harness": ["harness/language"],
    "harness/language": ["harness"],
    "harness/executor": VALUES,
    "harness/agent": VALUES + ["harness/executor"],
    "harness/run": VALUES + ["harness/agent"],
    "results/findings": [],  # programs by themselves
    "results": VALUES + ["harness/agent", "harness/run", "stress/storms"],
    "harness/app": None,  # puts all parts together
    "kernels_ref/engine": [],
    "kernels_ref/mm": VALUES + ENGINE,  # never a driver: it calls one through mm/driver_ops.h
    "kernels_ref/drivers": MM,
    "kernels_ref/drivers/amdkfd": MM + ["kernels_ref/drivers"],
    "kernels_ref/scenario": MM + ["kernels_ref/drivers"],
    "kernels_ref/memory_model": MM,
    "kernels_ref/protocol/machine": ENGINE,  # protocols do not know scenarios
    "kernels_ref/protocol/notifiers": PROTOCOL,
    "kernels_ref/protocol/fork": PROTOCOL + ["kernels_ref/protocol/notifiers"],
    "kernels_ref/protocol/device_memory": PROTOCOL + ["kernels_ref/protocol/fork"],
    "kernels_ref/protocol/drivers": PROTOCOL + ["kernels_ref/protocol/notifiers", "kernels_ref/protocol/fork"],
    "kernels_ref/protocol/bugs": PROTOCOLS,
    "kernels_ref/claims": PROTOCOLS,
    "kernels_ref/bench": PROTOCOLS,
    "kernels_ref": MM + PROTOCOLS + ["kernels_ref/drivers", "kernels_ref/scenario", "kernels_ref/memory_model"],
    "drm_glue": VALUES + ["harness/executor"],
    "drm_glue/uapi/drm": [],
    "drm_glue/health": VALUES + ["drm_glue"],
    "drm_glue/kfd": VALUES + ["drm_glue"],
    "drm_glue/nouveau": VALUES + ["drm_glue"],
    "drm_glue/amdgpu": VALUES + ["drm_glue", "drm_glue/kfd"],
    "drm_glue/gpus": VALUES + ["drm_glue", "drm_glue/kfd", "drm_glue/nouveau"],
    "drm_glue/record": ["drm_glue/gpus"],
    "drm_glue/softgpu": ["drm_glue/softgpu/vfio_user"],
    "drm_glue/softgpu/vfio_user": [],
    "drm_glue/mocks": None,  # programs that use every part to make requests
    "opencl_tests": VALUES + ["drm_glue", "opencl_tests/kernels"],
    "opencl_tests/bugs": [],
    "opencl_tests/layer": [],
    "opencl_tests/module": ["opencl_tests"],
    "stress/bench": VALUES + ["harness/executor", "drm_glue"],
    "stress/direct_io": ["drm_glue"],
    "stress/repro": VALUES,
    "stress/repro/examples": [],  # programs by themselves
    "stress/storms": VALUES + ["harness/executor"],
    "stress/generate": VALUES,
    "stress/shrink": VALUES + ["stress/generate"],
    "stress/campaign": VALUES + ["harness/run", "stress/generate", "stress/shrink"],
}

INCLUDE = re.compile(r'^#include "([^"]+)/[^"/]+"', re.MULTILINE)


def sources():
    listed = subprocess.run(["git", "ls-files", "*.cpp", "*.h"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {path: (ROOT / path).read_text() for path in listed.stdout.split() if (ROOT / path).exists()}


def is_test(path):
    name = path.rsplit("/", 1)[-1]
    return "_test." in name or name.startswith(("test_", "random_program", "fuzz_"))


def strays(texts):
    """The forbidden includes in these sources ({path: text}), in words."""
    found = []
    for path, text in texts.items():
        folder = path.rpartition("/")[0]
        if folder not in MAY:
            found.append(f"{folder}: no rule in MAY says what it may include")
        elif MAY[folder] is not None and not is_test(path):
            found += [f"{path} includes {other}" for other in sorted(set(INCLUDE.findall(text)) - {folder})
                      if other not in MAY[folder]]
    return found


def test_includes_go_one_way():
    assert strays(sources()) == []


def test_a_stray_include_is_found():
    driver = '#include "kernels_ref/drivers/driver.h"\n'
    assert strays({"kernels_ref/mm/fault.cpp": driver}) == ["kernels_ref/mm/fault.cpp includes kernels_ref/drivers"]
    assert strays({"kernels_ref/mm/fault_test.cpp": driver}) == []
    assert strays({"kernels_ref/scenario/shape.cpp": driver}) == []
    assert strays({"new/x.cpp": ""}) == ["new: no rule in MAY says what it may include"]


def test_no_folder_includes_itself_by_another():
    """Only the two folders of the values may include each other."""
    both = {(a, b) for a, others in MAY.items() for b in others or [] if a in (MAY.get(b) or [])}
    assert both == {("harness", "harness/language"), ("harness/language", "harness")}


MOST_LINES = 450


def test_no_source_is_too_long_to_hold():
    listed = subprocess.run(["git", "ls-files", "*.cpp", "*.h", "*.py", "*.c"], cwd=ROOT, capture_output=True, text=True, check=True)
    long = {path: lines for path in listed.stdout.split()
            if (ROOT / path).exists() and (lines := (ROOT / path).read_text().count("\n")) > MOST_LINES}
    assert long == {}
