"""faultline called from inside a Linux tree takes the kernel that was built there."""

import subprocess

import pytest

from command_line import faultline, journal

RUN = ("run", "--iterations", "10", "--json", "j.jsonl")


def git(folder, *words):
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(["git", *name, "-C", folder, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def tree(folder):
    """A source tree with a commit and a built kernel, beside the scenarios."""
    made = folder / "linux"
    for path in ("include/config/kernel.release", "arch/x86/boot/bzImage", "Kbuild", "drivers/gpu/drm/drm.c"):
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_text("x\n")
    git(made, "init", "-q")
    git(made, "add", "Kbuild")
    git(made, "commit", "-q", "-m", "one")
    return made


def lab_kernel(folder):
    return [each["command"] for each in journal(folder / "j.jsonl") if each["ev"] == "machine" and each["event"] == "start"]


def test_the_kernel_of_the_tree_runs(tree):
    here = tree / "drivers/gpu"
    result = faultline(here, *RUN, "../../../one.scn")
    commit = "commit " + git(tree, "rev-parse", "--short=12", "HEAD")
    assert result.returncode == 0, result.stderr
    assert f"Kernel {tree}/arch/x86/boot/bzImage ({commit})\n" in result.stdout
    assert "(lab:dmirror, Linux " in result.stdout and f" ({commit}), 10 iterations" in result.stdout
    assert f"--kernel {tree}/arch/x86/boot/bzImage" in " ".join(lab_kernel(here)[0])
    assert [each["commit"] for each in journal(here / "j.jsonl") if each["ev"] == "verdict"] == [commit]


def test_changes_are_told(tree):
    (tree / "Kbuild").write_text("y\n")
    assert " with changes)" in faultline(tree, *RUN, "../one.scn").stdout


def test_a_tree_without_git_has_no_commit(tree):
    (tree / ".git").rename(tree / "no-git")
    result = faultline(tree, *RUN, "../one.scn")
    assert result.returncode == 0 and "bzImage\n" in result.stdout and "commit" not in result.stdout


def test_a_build_folder_leads_to_its_source(tree, folder):
    other = folder / "build"
    (tree / "include").rename(folder / "include")
    (other / "arch/x86/boot").mkdir(parents=True)
    (folder / "include").rename(other / "include")
    (tree / "arch/x86/boot/bzImage").rename(other / "arch/x86/boot/bzImage")
    (other / "source").symlink_to(tree)
    result = faultline(other, *RUN, "../one.scn")
    assert f"Kernel {other}/arch/x86/boot/bzImage (commit " in result.stdout


def test_what_is_given_wins(tree):
    result = faultline(tree, *RUN, "-t", "host", "../one.scn")
    assert "Kernel" not in result.stdout and "(host, Linux " in result.stdout and "commit" not in result.stdout
    other = tree.parent / "bzImage"
    other.write_text("x")
    result = faultline(tree, *RUN, "-t", "lab:dmirror", "--lab-kernel", other, "../one.scn")
    assert "commit" not in result.stdout and f"--kernel {other}" in " ".join(lab_kernel(tree)[-1])


def test_a_source_tree_without_a_kernel(tree):
    (tree / "arch/x86/boot/bzImage").unlink()
    result = faultline(tree, *RUN, "-t", "lab:dmirror", "../one.scn")
    assert result.returncode == 0
    assert "faultline: no kernel was built in this source tree (make bzImage): the lab's own runs\n" in result.stderr


def test_amdgpu_is_needed_for_its_target(tree):
    result = faultline(tree, *RUN, "-t", "lab:amdgpu", "../one.scn")
    assert result.returncode == 2
    assert f"the kernel in {tree} has no amdgpu.ko, which lab:amdgpu needs" in result.stderr
