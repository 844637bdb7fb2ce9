"""The command line: what it says about bad input, and what becomes of a run when machines fail."""

import json
import os
import pathlib
import pty
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FAULTLINE = pathlib.Path(os.environ.get("FAULTLINE_BUILD", ROOT / "build")) / "faultline"
FAKE = f"/usr/bin/python3 {ROOT}/harness/run/fake_agent.py"

ONE = """scenario one
  "A load gives what is there."
process P
  a: 1 pages anon rw = 7
  r0 = load a[0]
always P:r0 = 7
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "one.scn").write_text(ONE)
    (tmp_path / "two.scn").write_text(ONE.replace("scenario one", "scenario two"))
    return tmp_path


def environment(agent):
    own = {key: value for key, value in os.environ.items() if not key.startswith("FAULTLINE_")}
    return own | {"FAULTLINE_AGENT": agent, "FAULTLINE_LAB": agent}


def faultline(folder, *words, agent=FAKE, timeout=60, **variables):
    return subprocess.run([FAULTLINE, *words], cwd=folder, env=environment(agent) | variables, capture_output=True,
                          text=True, timeout=timeout, check=False)


def journal(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def tried(command):
    return f"Try 'faultline{command} --help'.\n"


BAD_INPUT = [
    (["rnu"], "faultline: unknown command 'rnu'; did you mean 'run'?\n" + tried("")),
    (["frobnicate"],
     "faultline: unknown command 'frobnicate'; there are targets, predict, explain, claims, score, run, "
     "record\n" + tried("")),
    (["run", "--iteration", "5", "one.scn"],
     "faultline: unknown option '--iteration'; did you mean '--iterations'?\n" + tried(" run")),
    (["run"], "faultline: PATH is required\n" + tried(" run")),
    (["run", "--iterations", "0", "one.scn"],
     "faultline: --iterations: not a number above 0: '0'\n" + tried(" run")),
    (["run", "--iterations", "5", "--time", "1", "one.scn"],
     "faultline: --iterations excludes --time\n" + tried(" run")),
    (["run", "-t", "lab:dmirorr", "one.scn"],
     "faultline: unknown target 'lab:dmirorr'; did you mean 'lab:dmirror'?\n"),
    (["run", "-t", "gpu", "one.scn"],
     "faultline: unknown target 'gpu'; there are host, pinned, dmirror, lab:host, lab:pinned, lab:dmirror, "
     "nouveau, amdgpu, opencl, debian13:host, debian13:opencl\n"),
    (["run", "-t", "lab:opencl", "one.scn"],
     "faultline: unknown target 'lab:opencl'; there are host, pinned, dmirror, lab:host, lab:pinned, lab:dmirror, "
     "nouveau, amdgpu, opencl, debian13:host, debian13:opencl\n"),
    (["run", "-t", "debian13:hots", "one.scn"],
     "faultline: unknown target 'debian13:hots'; did you mean 'debian13:host'?\n"),
    (["run", "-t", "debian13:host", "--lab-append", "quiet", "one.scn"],
     "faultline: --lab-kernel and --lab-append need a target in the lab; did you mean '-t lab:host'?\n"),
    (["run", "missing.scn"], "missing.scn: cannot be read: No such file or directory\n"),
    (["run", "empty"], "faultline: empty: no scenario (*.scn) in this folder\n"),
    (["run", "--lab-kernel", "bzImage", "one.scn"],
     "faultline: --lab-kernel and --lab-append need a target in the lab; did you mean '-t lab:host'?\n"),
    (["run", "-t", "lab:host", "--lab-kernel", "bzImage", "one.scn"],
     "faultline: --lab-kernel bzImage: No such file or directory\n"),
    (["run", "--replay", "j.jsonl", "one.scn"], "faultline: --replay j.jsonl: not FILE:LINE\n"),
    (["run", "--replay", "j.jsonl:3", "one.scn"],
     "faultline: --replay j.jsonl:3: the journal cannot be read\n"),
    (["run", "--json", "/proc/no/j.jsonl", "one.scn"],
     "faultline: the journal /proc/no/j.jsonl: No such file or directory\n"),
    (["predict"], "faultline: FILE is required\n" + tried(" predict")),
    (["predict", "bad.scn"],
     "bad.scn:3:3: unknown word 'laod'\n    laod a[0]\n    ^~~~\n  did you mean 'load'?\n"),
    *((words, "endless.scn:6:8: waits for ever: nothing ends 'C', which stays when its statements have run\n"
       "    wait C\n         ^\n"
       "  let 'C' end before, by an 'exit' or a 'kill C' that needs nothing behind this wait\n")
      for words in (["predict", "endless.scn"], ["explain", "endless.scn", "P.t:#1 = ok"], ["run", "endless.scn"])),
    *((words, "crossed.scn:6:8: may wait for ever: 'C' is at 'barrier x' (line 9)\n"
       "    wait C\n         ^\n"
       "  let 'C' end before, by an 'exit' or a 'kill C' that needs nothing behind this wait\n")
      for words in (["predict", "crossed.scn"], ["explain", "crossed.scn", "P.t:#1 = ok"],
                    ["run", "one.scn", "crossed.scn"])),
    (["run", "one.scn", "refuted.scn"],
     "refuted.scn:6:1: the reference refutes this claim: an allowed outcome has it\n"
     "    never P:r0 = 7\n    ^~~~~~~~~~~~~~\n  counter-example: P:r0=7\n"),
    (["predict", "unseen.scn"],
     "unseen.scn:6:1: the reference refutes this claim: none of the 1 allowed outcome has it\n"
     "    sometimes P:r0 = zero\n    ^~~~~~~~~~~~~~~~~~~~~\n"),
]


@pytest.mark.parametrize("words, message", BAD_INPUT, ids=[" ".join(words) for words, _ in BAD_INPUT])
def test_bad_input(folder, words, message):
    (folder / "empty").mkdir()
    (folder / "bad.scn").write_text("scenario bad\nprocess P\n  laod a[0]\n")
    endless = "scenario endless\nprocess P\n  a: 1 page anon rw = 7\nthread P.t\n  fork C\n  wait C\n"
    (folder / "endless.scn").write_text(endless + "process C\n  load a[0]\n")
    (folder / "crossed.scn").write_text(endless + "  barrier x\nprocess C\n  barrier x\n  exit\n")
    (folder / "refuted.scn").write_text(ONE.replace("always", "never"))
    (folder / "unseen.scn").write_text(ONE.replace("always P:r0 = 7", "sometimes P:r0 = zero"))
    result = faultline(folder, *words)
    assert result.stderr == message
    assert result.returncode == 2
    if words[0] == "run":
        assert result.stdout == ""  # nothing half-run


def test_every_bad_file_is_told(folder):
    (folder / "bad.scn").write_text("scenario bad\nprocess P\n  laod a[0]\n")
    result = faultline(folder, "run", "bad.scn", "one.scn", "gone.scn")
    assert result.returncode == 2
    assert "bad.scn:3:3" in result.stderr and "gone.scn: cannot be read" in result.stderr


def test_help_teaches(folder):
    for words in ([], ["run"], ["predict"], ["targets"]):
        result = faultline(folder, *words, "--help")
        assert result.returncode == 0
        assert "Examples:" in result.stdout
    assert faultline(folder).returncode == 2


def test_an_opencl_device_that_is_not_here(folder):
    result = faultline(folder, "run", "-t", "opencl:pocl/7", "one.scn", agent=FAKE + " --targets host")
    assert result.returncode == 2
    assert result.stderr == "faultline: the target opencl:pocl/7 is not here: there are host, dmirror\n"


def test_a_target_that_is_not_here(folder):
    result = faultline(folder, "run", "-t", "host", "-t", "dmirror", "--json", "j.jsonl", "one.scn",
                       agent=FAKE + " --targets host")
    assert result.returncode == 2
    assert result.stderr == "faultline: the target dmirror is not here: no /dev/hmm_dmirror0: load test_hmm\n"
    assert not [each for each in journal(folder / "j.jsonl") if each["ev"] == "slice"]


def test_a_machine_that_does_not_start(folder):
    result = faultline(folder, "run", "--json", "j.jsonl", "one.scn", agent="false")
    assert result.returncode == 3
    assert "the machine did not start: its process ended: exit status 1" in result.stdout


@pytest.mark.parametrize("words, agent, code", [
    (["one.scn"], FAKE, 0),
    (["one.scn"], FAKE + " --fault one=forbidden", 1),
    (["one.scn"], FAKE + " --fault one=die", 1),
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
    """What git says at the end of a bisection over commits whose agents have these faults."""
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
    """Commit 2 is as good a candidate as the bad one behind it."""
    code, said = bisect(folder, ["", "", "--fault one=error", "--fault one=forbidden"], "one.scn")
    candidates = said.split("The first bad commit could be any of:\n")[1].split("We cannot")[0].split()
    assert code != 0 and len(candidates) == 2, said


def test_git_bisect_ends_where_nothing_can_be_tested(folder):
    code, said = bisect(folder, ["", "", "", "", ""], "gone.scn")
    assert code != 0 and "is the first bad commit" not in said
    assert "gone.scn: cannot be read" in said


def test_agree(folder):
    result = faultline(folder, "run", "--seed", "7", "--json", "j.jsonl", ".")
    assert result.returncode == 0
    assert result.stdout.startswith("Seed 7\nTest one on host\nHistogram (1 outcome)\n  1000  :> P:r0=7\n"
                                    "Allowed outcomes seen: 1 of 1\nObservation one Always 1000 0\n")
    assert result.stdout.endswith("Summary         agree    iterations\n  host              2          2000\n"
                                  "Journal: j.jsonl\nExit 0: all agree\n")
    records = journal(folder / "j.jsonl")
    assert [each["ev"] for each in records if each["ev"] in ("run", "scenario", "verdict", "end")] == [
        "run", "scenario", "verdict", "scenario", "verdict", "end"]
    assert records[0]["seed"] == 7 and records[0]["command"][1:4] == ["run", "--seed", "7"]
    scenario = next(each for each in records if each["ev"] == "scenario")
    assert scenario["text"] == ONE and scenario["schema"] == ["P:r0"] and scenario["allowed"] == 1
    assert scenario["complete"] is True


def test_forbidden_and_shown_again(folder):
    agent = FAKE + " --fault one=forbidden"
    result = faultline(folder, "run", "--seed", "7", "--json", "j.jsonl", "one.scn", agent=agent)
    assert result.returncode == 1
    assert "  *> P:r0=alien\n" in result.stdout
    again = next(line for line in result.stdout.splitlines() if line.startswith("Again: "))
    words = again.split()[2:]
    assert words[:7] == ["run", "-t", "host", "--seed", "7", "--iterations", "1000"]
    replay = words[words.index("--replay") + 1]
    number = int(replay.rsplit(":", 1)[1])
    assert "alien" in json.dumps(journal(folder / "j.jsonl")[number - 1]["outcomes"])
    assert faultline(folder, *words, agent=agent).returncode == 1


def test_a_panic_loses_nothing_and_the_run_goes_on(folder):
    (folder / "three.scn").write_text(ONE.replace("scenario one", "scenario three"))
    result = faultline(folder, "run", "-t", "lab:dmirror", "--json", "j.jsonl", ".",
                       agent=f"{FAKE} --fault three=splat --once {folder}/once")
    assert result.returncode == 1
    assert "Verdict one agree (lab:dmirror" in result.stdout
    assert "Verdict two agree (lab:dmirror" in result.stdout
    assert "BUG: kernel NULL pointer dereference" in result.stdout and "last word" in result.stdout
    records = journal(folder / "j.jsonl")
    assert [each["scenario"] for each in records if each["ev"] == "lost"] == ["three"]
    assert len([each for each in records if each["ev"] == "machine" and each["event"] == "hello"]) == 2
    assert (folder / "j.jsonl.lab-1.console").exists()


def test_a_full_disk(folder):
    result = faultline(folder, "run", "--json", "/dev/full", "one.scn")
    assert result.returncode == 4
    assert result.stderr.count("No space left on device") == 1
    assert "The journal could not be written: /dev/full: No space left on device" in result.stdout
    assert "Summary" in result.stdout


def start(folder, *words, agent):
    return subprocess.Popen([FAULTLINE, *words], cwd=folder, env=environment(agent), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def wait_for(path, event):
    for _ in range(600):
        if path.exists() and f'"ev":"{event}"' in path.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"no {event} in {path}")


def test_interrupt(folder):
    run = start(folder, "run", "--time", "600", "--json", "j.jsonl", ".", agent=FAKE)
    wait_for(folder / "j.jsonl", "batch")
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=20)
    assert run.returncode == 3
    assert "Interrupted: 1 trial did not run" in out
    assert journal(folder / "j.jsonl")[-1]["ev"] == "end"


def test_a_second_interrupt_does_not_wait(folder):
    run = start(folder, "run", "--time", "600", "--json", "j.jsonl", ".", agent=FAKE + " --fault one=deaf")
    wait_for(folder / "j.jsonl", "batch")
    run.send_signal(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=20)
    assert time.monotonic() - began < 5
    assert journal(folder / "j.jsonl")[-1]["ev"] == "end"


def test_kill_leaves_a_journal_that_reads(folder):
    run = start(folder, "run", "--time", "600", "--json", "j.jsonl", "one.scn", agent=FAKE)
    wait_for(folder / "j.jsonl", "batch")
    time.sleep(0.3)
    run.kill()
    run.communicate()
    records = journal(folder / "j.jsonl")
    assert records[0]["ev"] == "run" and records[-1]["ev"] == "batch"


def test_progress_is_one_line_on_a_terminal(folder):
    mine, theirs = pty.openpty()
    run = subprocess.Popen([FAULTLINE, "run", "--time", "1", "--json", "j.jsonl", "one.scn"], cwd=folder,
                           env=environment(FAKE), stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(mine, 4096)
        except OSError:
            break
        said += part
    assert run.wait() == 0
    assert b"\n" not in said and b"\r\x1b[K[1/1] one on host" in said


def test_predict_json(folder):
    result = faultline(folder, "predict", "--json", "one.scn")
    answer = json.loads(result.stdout)
    assert answer["schema"] == ["P:r0"] and answer["outcomes"] == [["7"]] and answer["complete"] is True
    assert answer["claims"] == [{"claim": "always P:r0 = 7", "state": "holds"}]


def test_targets(folder):
    result = faultline(folder, "targets", "--json", "one.scn", agent=FAKE + " --targets host")
    rows = {row["target"]: row for row in json.loads(result.stdout)}
    assert rows["host"]["available"] and rows["host"]["runs"] == 1
    assert not rows["dmirror"]["available"] and rows["dmirror"]["why"] == "no /dev/hmm_dmirror0: load test_hmm"
    assert rows["lab:dmirror"]["available"]
    assert rows["debian13:host"]["available"]
    assert rows["debian13:host"]["why"] == "this machine's kernel under Debian 13"


def test_targets_by_name(folder):
    """Scenarios that do not run are counted; those of a target that was asked for are named."""
    all_of_them = faultline(folder, "targets", agent=FAKE + " --targets host").stdout
    asked = faultline(folder, "targets", "-t", "host", agent=FAKE + " --targets host").stdout
    assert "no long-term pins" in all_of_them and "pin-munmap-orphan" not in all_of_them
    assert "no long-term pins" in asked and "pin-munmap-orphan" in asked
    assert "faultline targets -t TARGET" in all_of_them and "-t TARGET" not in asked


def test_a_root_that_is_not_made(folder):
    """The lab may be there all the same."""
    lab = folder / "lab"
    lab.write_text("#!/bin/sh\n[ $1 = path ] && exit 0\necho first\necho 'lab: build it: ci/lab root'\nexit 3\n")
    lab.chmod(0o755)
    result = faultline(folder, "targets", "--json", "one.scn", FAULTLINE_LAB=str(lab))
    rows = {row["target"]: row for row in json.loads(result.stdout)}
    assert rows["lab:host"]["available"] and not rows["debian13:host"]["available"]
    assert rows["debian13:host"]["why"] == "lab: build it: ci/lab root"


def test_a_run_under_another_root(folder):
    """ci/lab chroot starts it, without what is about a kernel."""
    result = faultline(folder, "run", "-t", "debian13:host", "-t", "lab:host", "--lab-append", "quiet", "--json",
                       "j.jsonl", "one.scn")
    assert result.returncode == 0
    assert "Verdict one agree (debian13:host" in result.stdout
    starts = {each["place"]: each["command"] for each in journal(folder / "j.jsonl")
              if each["ev"] == "machine" and each["event"] == "start"}
    assert starts["debian13"][-3:] == ["chroot", "--agent", str(ROOT / "build/faultline-agent-opencl")]
    assert starts["lab"][-6:-4] == ["boot", "--agent"] and starts["lab"][-3:-1] == ["--append=quiet", "--console"]


FORK = """scenario fork
  "A store before the fork shows in the child, one behind it does not."
process P
  a: 1 page anon rw = 0
thread P.cpu
  store a[0] 1
  fork C
  store a[0] 2
process C
  r0 = load a[0]
always C:r0 = 1
"""


def test_explain_shows_a_schedule_and_what_forbids(folder):
    (folder / "fork.scn").write_text(FORK)
    allowed = faultline(folder, "explain", "--class", "shares-cpu-tables", "fork.scn", "C:r0 = 1")
    assert allowed.returncode == 0
    assert "Allowed. A shortest schedule:" in allowed.stdout and "C:r0=1\n" in allowed.stdout
    assert allowed.stdout.index("store a[0] 1") < allowed.stdout.index("fork C") < allowed.stdout.index("r0 = load a[0]")
    forbidden = faultline(folder, "explain", "fork.scn")
    assert "Condition not C:r0 = 1\nForbidden by" in forbidden.stdout
    assert "cow-keeps-shared-page" in forbidden.stdout
    without = faultline(folder, "explain", "--without", "cow-keeps-shared-page", "fork.scn", "C:r0 = 2")
    assert "Allowed. A shortest schedule:" in without.stdout and "C:r0=2\n" in without.stdout


def test_explain_says_what_is_wrong_with_a_condition(folder):
    (folder / "fork.scn").write_text(FORK)
    bad = faultline(folder, "explain", "fork.scn", "C:r9 = 1")
    assert bad.returncode == 2 and "did you mean 'r0'" in bad.stderr and "^" in bad.stderr
    rule = faultline(folder, "explain", "--without", "fork-notify", "fork.scn")
    assert rule.returncode == 2 and rule.stderr == "faultline: unknown rule 'fork-notify'; did you mean 'fork-notifies'?\n"


def test_claims_are_decided_and_flip():
    every = faultline(ROOT, "claims")
    assert every.returncode == 0, every.stdout[-2000:]
    assert every.stdout.splitlines()[-1] == "31 claims: 31 as expected, 0 not, 0 undecided"
    assert every.stdout.count("\n     flips  ") >= 31
    assert "DOES NOT FLIP" not in every.stdout


def test_one_claim_shows_its_schedules():
    one = faultline(ROOT, "claims", "4.1")
    assert one.returncode == 0
    assert "found      holds: use after free\n" in one.stdout
    assert "mmu_interval_notifier_find" in one.stdout and " 1  " in one.stdout
    thread = faultline(ROOT, "claims", "4")
    assert thread.stdout.splitlines()[-1].startswith("6 claims: ")


def test_a_claim_on_another_kernel_is_not_as_expected():
    other = faultline(ROOT, "claims", "--with", "find-keeps-tree-locked", "4.1")
    assert other.returncode == 1
    assert "DOES NOT FLIP with find-keeps-tree-locked" in other.stdout
    assert other.stdout.splitlines()[-1] == "1 claim: 0 as expected, 1 not, 0 undecided"


def test_claims_say_what_kernels_showed(tmp_path):
    """The newest answer for each target; answers that are none do not count."""
    for name in ("build", "stress"):
        (tmp_path / name).symlink_to(ROOT / name)
    run = tmp_path / "results/runs/20260101-000000"
    run.mkdir(parents=True)
    verdict = {"ev": "verdict", "scenario": "fork-device-write-after", "target": "lab:dmirror", "kernel": "6.1.0 (lab)",
               "verdict": "agree", "iterations": 12}
    skipped = verdict | {"target": "host", "verdict": "skipped"}
    experiment = verdict | {"scenario": "reclaim-in-flight", "target": "lab:direct-io", "saw": "disk old"}
    lines = [json.dumps(line, separators=(",", ":")) for line in (verdict, skipped, experiment)]
    (run / "journal.jsonl").write_text("\n".join(lines) + "\n{\"ev\": \"verd")
    seen = faultline(tmp_path, "claims", "3.1", FAULTLINE_ROOT=str(tmp_path))
    assert "kernel     agree on lab:dmirror, Linux 6.1.0, 12 iterations\n" in seen.stdout
    seen = faultline(tmp_path, "claims", "2.2", FAULTLINE_ROOT=str(tmp_path))
    assert "kernel     agree on lab:direct-io, Linux 6.1.0, 12 iterations: disk old\n" in seen.stdout


@pytest.mark.parametrize(("words", "says"), [
    (["9"], "unknown claim '9'; 'faultline claims' lists them"),
    (["--with", "no-read-rety", "4"], "unknown variant 'no-read-rety'; did you mean 'no-read-retry'?"),
    (["--with", "x", "4"], "unknown variant 'x'; 'faultline claims --variants' lists them"),
])
def test_claims_bad_input(words, says):
    bad = faultline(ROOT, "claims", *words)
    assert (bad.returncode, bad.stderr) == (2, f"faultline: {says}\n")


def test_variants_are_listed():
    listed = faultline(ROOT, "claims", "--variants")
    assert listed.returncode == 0 and "no-read-retry\n    the driver programs" in listed.stdout


def test_score_of_the_reference():
    table = faultline(ROOT, "score", "--reference")
    assert table.returncode == 0, table.stdout
    assert table.stdout.splitlines()[-1] == "51 of 51 caught"
    assert "NOT CAUGHT" not in table.stdout and "FALSE ALARM" not in table.stdout
    assert faultline(ROOT, "score").returncode == 2


def test_explain_shows_executions_of_the_memory_model(folder):
    text = (ROOT / "stress/scenarios/svm/message-passing.scn").read_text()
    (folder / "mp.scn").write_text(text)
    forbidden = faultline(folder, "explain", "mp.scn", "P.gpu:r0 = 1 and P.gpu:r1 = 0")
    assert forbidden.returncode == 0
    assert "Forbidden by release-synchronises, memory-is-coherent\n" in forbidden.stdout
    assert "P.gpu: r1 = load a[0] relaxed  reads from  the initial value\n" in forbidden.stdout
    allowed = faultline(folder, "explain", "mp.scn", "P.gpu:r0 = 1")
    assert "Allowed. A possible execution:\n  P.gpu: r0 = load a[1] acquire  reads from  P.cpu: store a[1] 1 release\n" in allowed.stdout
