"""How `git bisect run` takes the exit codes of `faultline run --bisect`."""

import signal
import subprocess
import time

import pytest

from command_line import FAKE, FAULTLINE, environment, faultline


@pytest.mark.parametrize("words, agent, code", [
    (["one.scn"], FAKE, 0),
    (["one.scn"], FAKE + " --fault one=forbidden", 1),
    (["one.scn"], FAKE + " --fault one=die", 125),
    (["one.scn"], "false", 125),                        # 3: its machine does not start
    (["one.scn"], FAKE + " --fault one=empty", 125),
    (["one.scn"], FAKE + " --fault one=error", 125),    # 4
    (["bad.scn"], FAKE, 128),                           # 2: no commit can be tested
    (["gone.scn"], FAKE, 128),
    (["one.scn", "--iterations", "0"], FAKE, 128),
    (["one.scn", "--no-such-option"], FAKE, 128),
    (["-t", "hots", "one.scn"], FAKE, 128),
    (["-t", "dmirror", "one.scn"], FAKE + " --targets host", 128),
])
def test_exit_codes_for_git_bisect(folder, words, agent, code):
    (folder / "bad.scn").write_text("scenario bad\nprocess P\n  laod a[0]\n")
    result = faultline(folder, "run", "--bisect", "--json", "j.jsonl", *words, agent=agent)
    assert result.returncode == code, result.stderr
    if code != 128:
        assert f"\nExit {code}: " in result.stdout


def test_an_interrupt_ends_the_bisection(folder):
    with subprocess.Popen([FAULTLINE, "run", "--bisect", "--json", "j.jsonl", "one.scn"], cwd=folder, text=True,
                          env=environment(FAKE + " --fault one=endless"), stdout=subprocess.PIPE) as process:
        while not (folder / "j.jsonl").exists() or '"batch"' not in (folder / "j.jsonl").read_text():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0].endswith("\nExit 128: was interrupted, which ends the bisection (--bisect)\n")
        assert process.returncode == 128


def bisect(folder, faults, *words):
    """Bisects commits that have these faults in their agents. Returns the exit code and what git says at the end."""
    def git(*arguments):
        return subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@x", *arguments], cwd=folder,
                              env=environment(FAKE + " $(cat fault)"), capture_output=True, text=True,
                              timeout=120, check=False)

    git("init", "-q", ".")
    for number, fault in enumerate(faults):
        (folder / "fault").write_text(fault)
        git("add", "fault")
        git("commit", "-q", "--allow-empty", "-m", f"commit {number}")
    git("bisect", "start", "HEAD", f"HEAD~{len(faults) - 1}")
    result = git("bisect", "run", FAULTLINE, "run", "--bisect", "--json", "j.jsonl", *words)
    return result.returncode, result.stdout + result.stderr


def test_git_bisect_finds(folder):
    code, said = bisect(folder, ["", "", "", "--fault one=forbidden", "--fault one=forbidden"], "one.scn")
    assert code == 0 and "is the first bad commit" in said and "commit 3" in said, said


def test_git_bisect_skips_what_cannot_be_tested(folder):
    """Commit 2 cannot be tested, so it is as much a candidate as the bad commit after it."""
    code, said = bisect(folder, ["", "", "--fault one=error", "--fault one=forbidden"], "one.scn")
    candidates = said.split("The first bad commit could be any of:\n")[1].split("We cannot")[0].split()
    assert code != 0 and len(candidates) == 2, said


def test_git_bisect_ends_where_nothing_can_be_tested(folder):
    code, said = bisect(folder, ["", "", "", "", ""], "gone.scn")
    assert code != 0 and "is the first bad commit" not in said
    assert "gone.scn: cannot be read" in said
