"""The programs of this folder show what the texts say, in the virtual lab with the real amdgpu on the software GPU.

Those that boot it are skipped where it is not built (ci/lab qemu, ci/lab build --amdgpu).
"""

import pathlib
import re
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LAB = ROOT / "ci/lab"


def path(*words):
    return subprocess.run([LAB, *words], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def shows(tmp_path_factory):
    """Runs a program in the lab: its exit status, and all that it and the machine's console said."""
    if not path("qemu", "--path") or not path("path", "--amdgpu"):
        pytest.skip("the lab with a GPU is not built: ci/lab qemu; ci/lab build --amdgpu")

    def run(program, *words, argument=""):
        console = tmp_path_factory.mktemp(program) / "console"
        done = subprocess.run([LAB, "exec", "--softgpu", ROOT / "build/softgpu", *words, "--console", console, "--file",
                               ROOT / "build/findings" / program, "--", "sh", "-c", f"modprobe amdgpu && /{program} {argument}"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
        return done.returncode, done.stdout + done.stderr + console.read_text(errors="replace")
    return run


def test_each_text_has_its_program_and_its_line():
    texts = {each.stem for each in HERE.glob("*.md")} - {"README"}
    assert texts == {each.stem for each in HERE.glob("*.c")} != set()
    index = (HERE / "README.md").read_text()
    assert all(f"]({name}.md)" in index for name in texts)


def test_job_on_range(shows):
    """The job is on page0, and the worker that answers its fault waits for a clear behind it. Other jobs go on."""
    status, said = shows("job-on-range")
    assert status == 0 and "shown: a job on page0 waits for the worker, which waits for page0" in said, said[-3000:]
    assert re.search(r"svm_range_vram_node_new.*svm_range_restore_pages", said, re.DOTALL)


def test_job_on_range_not_without_a_clear(shows):
    """The same faults, on page0 too. The program fails if no job came there."""
    status, said = shows("job-on-range", argument="in-place")
    assert status == 1 and "not shown" in said, said[-3000:]


def test_lock_cycle(shows):
    status, said = shows("lock-cycle")
    assert status == 0 and "shown: lockdep reports the cycle" in said


def test_lock_cycle_not_where_lockdep_is_off(shows):
    status, said = shows("lock-cycle", "--append", "lockdep.prove_locking=0")
    assert status == 1 and "not shown" in said


def test_old_translation(shows):
    status, said = shows("old-translation", "--softgpu-options=--keep-with-queue")
    assert status == 0 and "shown: the CPU wrote 2, and the GPU then read 1" in said


def test_old_translation_not_with_a_flush(shows):
    status, said = shows("old-translation")
    assert status == 1 and "not shown: the CPU wrote 2, and the GPU then read 2" in said


NO_CYCLES = ("--append", "lockdep.prove_locking=0")
ONE_CPU = ("--cpus", "1", *NO_CYCLES)
MACHINES = 4  # in which a race has its chance


def raced(shows, pattern, *words):
    """What the first machine said in which a race came about. On a busy host it does not in each."""
    for _ in range(MACHINES):
        _, said = shows(*words)
        if re.search(pattern, said, re.S):
            return said
    raise AssertionError(said[-3000:])


def test_reused_page(shows):
    """The lab's kernel dies of it by VM_BUG_ON, mostly before the program has told it. Then ftrace tells."""
    raced(shows, r"zone_device_page_init[^\n]* references=[1-9]", "reused-page", *ONE_CPU)


def test_released_bo(shows):
    """The GPU's fault waits below its own worker, behind which is the work that it waits for."""
    said = raced(shows, r"shown: in round \d+ the GPU's fault is not answered", "released-bo", *ONE_CPU)
    assert re.search(r"in-flight: .*amdgpu_irq_handle_ih_soft", said) and "svm_range_bo_wq_release" in said


def test_released_bo_not_without_a_bo(shows):
    status, said = shows("released-bo", *ONE_CPU, argument="in-place")
    assert status == 1 and "not shown" in said, said[-3000:]


def test_self_wait(shows):
    """The last reference is dropped in the work that its own notifier waits for; the next process waits for its lock."""
    said = raced(shows, "no queue can be made", "self-wait", *NO_CYCLES)
    assert re.search(r"cancel_delayed_work_sync\+.*kfd_process_notifier_release\+.* mmput\+.* restore_process_queues_nocpsch\+",
                     said, re.S) and "register_process+" in said


def test_self_wait_not_when_the_queues_are_back(shows):
    status, said = shows("self-wait", *NO_CYCLES, argument="late")
    assert status == 1 and "not shown" in said, said[-3000:]
