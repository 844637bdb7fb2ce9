"""The command line: its messages about bad input, and the results of runs with failing machines."""

import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

from command_line import FAKE, FAULTLINE, ONE, ROOT, environment, faultline, journal, start, tried, wait_for

BAD_INPUT = [
    (["rnu"], "faultline: unknown command 'rnu'; did you mean 'run'?\n" + tried("")),
    (["frobnicate"],
     "faultline: unknown command 'frobnicate'; there are targets, predict, explain, claims, score, run, repro, storm, "
     "stress, shrink, record\n" + tried("")),
    (["run", "--iteration", "5", "one.scn"],
     "faultline: unknown option '--iteration'; did you mean '--iterations'?\n" + tried(" run")),
    (["run", "--iterations", "0", "one.scn"],
     "faultline: --iterations: not a number above 0: '0'\n" + tried(" run")),
    (["run", "--iterations", "5", "--time", "1", "one.scn"],
     "faultline: --iterations excludes --time\n" + tried(" run")),
    (["run", "-t", "lab:dmirorr", "one.scn"],
     "faultline: unknown target 'lab:dmirorr'; did you mean 'lab:dmirror'?\n"),
    (["run", "-t", "gpu", "one.scn"],
     "faultline: unknown target 'gpu'; there are host, pinned, dmirror, lab:host, lab:pinned, lab:dmirror, lab:amdgpu, "
     "nouveau, amdgpu, opencl, debian13:host, debian13:opencl\n"),
    (["run", "-t", "lab:opencl", "one.scn"],
     "faultline: unknown target 'lab:opencl'; there are host, pinned, dmirror, lab:host, lab:pinned, lab:dmirror, lab:amdgpu, "
     "nouveau, amdgpu, opencl, debian13:host, debian13:opencl\n"),
    (["run", "-t", "debian13:hots", "one.scn"],
     "faultline: unknown target 'debian13:hots'; did you mean 'debian13:host'?\n"),
    (["run", "-t", "debian13:host", "--lab-append", "quiet", "one.scn"],
     "faultline: --lab-kernel and --lab-append need a target in the lab; did you mean '-t lab:host'?\n"),
    (["run", "-t", "lab:dmirror", "--lab-gpu", "--seed 5", "one.scn"], "faultline: --lab-modules and --lab-gpu need '-t lab:amdgpu'\n"),
    (["run", "-t", "amdgpu", "--lab-modules", ".", "one.scn"], "faultline: --lab-modules and --lab-gpu need '-t lab:amdgpu'\n"),
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
       "  end 'C' by an 'exit', or by a 'kill C' that does not come after this wait\n")
      for words in (["predict", "endless.scn"], ["explain", "endless.scn", "P.t:#1 = ok"], ["run", "endless.scn"])),
    *((words, "crossed.scn:6:8: may wait for ever: 'C' is at 'barrier x' (line 9)\n"
       "    wait C\n         ^\n"
       "  end 'C' by an 'exit', or by a 'kill C' that does not come after this wait\n")
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
        assert result.stdout == ""  # nothing has run


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


def test_the_version_is_that_of_the_changelog(folder):
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert faultline(folder, "--version").stdout == f"faultline {newest}\n"


def started(folder, place):
    """The command that started a machine."""
    return next(each["command"] for each in journal(folder / "j.jsonl")
                if each["ev"] == "machine" and each["event"] == "start" and each["place"] == place)


def test_the_gpu_of_the_lab_gets_the_runs_seed(folder):
    words = ["run", "-t", "lab:amdgpu", "-t", "lab:dmirror", "--seed", "7", "--json", "j.jsonl", "one.scn"]
    done = faultline(folder, *words, agent=FAKE + " --gpu good")
    assert done.returncode == 0 and done.stdout.startswith("Seed 7\nGPU in software: --seed 7\nTest ")
    assert "--softgpu-options=--seed 7" in started(folder, "lab-gpu") and "--modules" not in started(folder, "lab-gpu")
    assert not [word for word in started(folder, "lab") if "softgpu" in word]
    assert "GPU in software" not in faultline(folder, "run", "-t", "lab:dmirror", "--json", "j.jsonl", "one.scn").stdout


def test_the_gpu_of_the_lab_is_repeated(folder):
    """With the weather of the run, whatever seed the slice has that showed the outcome; targets without a GPU get none."""
    (folder / "modules").mkdir()
    words = ["run", "-t", "lab:amdgpu", "-t", "lab:dmirror", "--seed", "7", "--lab-gpu", "--vram 32M --seed 3", "--lab-modules", "modules",
             "--json", "j.jsonl", "one.scn"]
    done = faultline(folder, *words, agent=FAKE + " --gpu good --fault one=forbidden")
    assert "--softgpu-options=--seed 7 --vram 32M --seed 3" in started(folder, "lab-gpu")
    assert started(folder, "lab-gpu")[started(folder, "lab-gpu").index("--modules") + 1] == "modules"
    again = [line for line in done.stdout.splitlines() if line.startswith("Again: ")]
    assert "-t lab:amdgpu" in again[0] and "--lab-modules modules --lab-gpu '--seed 7 --vram 32M --seed 3'" in again[0]
    assert "-t lab:dmirror" in again[1] and "--lab-gpu" not in again[1] and "--lab-modules" not in again[1]


def test_wrong_options_of_the_lab_end_it_before_anything_runs(folder):
    done = faultline(folder, "run", "-t", "lab:amdgpu", "--lab-gpu", "--vram 5M", "--json", "j.jsonl", "one.scn",
                     agent=f"{FAKE} --gpu good --bad-options '--vram 5M is no power of two'")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "faultline: lab: --vram 5M is no power of two\n"
    assert not (folder / "j.jsonl").exists()


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


ALIEN = FAKE + """ --fault one=endless --outcome '["alien"]'"""


def test_a_finding_is_told_at_once_and_survives_a_kill(folder):
    """The scenario never ends. stdout is a file here, as in a night run."""
    with open(folder / "out", "w", encoding="utf-8") as out:
        run = subprocess.Popen([FAULTLINE, "run", "--seed", "7", "--json", "j.jsonl", "one.scn"], cwd=folder, env=environment(ALIEN),
                               stdout=out, stderr=subprocess.DEVNULL)
    wait_for(folder / "j.jsonl", "finding")
    while "Again" not in (folder / "out").read_text():
        assert run.poll() is None
        time.sleep(0.05)
    assert run.poll() is None
    run.kill()
    run.wait()
    assert re.fullmatch(r"Seed 7\nFound forbidden: one on host, \d+\.\d s after the start, in 100 iterations: P:r0=alien\n"
                        r"  Again: faultline run -t host --seed 7 --iterations 1000 --replay j.jsonl:\d+ one.scn\n",
                        (folder / "out").read_text())
    found = journal(folder / "j.jsonl")[-1]
    assert (found["ev"], found["what"], found["scenario"], found["target"]) == ("finding", "forbidden", "one", "host")
    assert found["again"] in (folder / "out").read_text() and found["seconds"] > 0 and found["iterations"] == 100


def test_stop_at_the_first_finding(folder):
    result = faultline(folder, "run", "--stop-at-first", "--time", "600", "--json", "j.jsonl", ".", agent=ALIEN)
    assert result.returncode == 1
    assert "Verdict one forbidden (host" in result.stdout and "Test two" not in result.stdout
    assert re.search(r"\nFirst finding: \d+\.\d s after the start \(forbidden, one on host\)\n"
                     r"Stopped at the first finding: 1 trial did not run\n", result.stdout)
    assert journal(folder / "j.jsonl")[-1]["first_finding_seconds"] > 0


def test_nothing_is_told_where_nothing_is_found(folder):
    result = faultline(folder, "run", "--stop-at-first", "--json", "j.jsonl", ".")
    assert result.returncode == 0
    assert not re.search("Found|irst finding", result.stdout)
    assert "first_finding_seconds" not in journal(folder / "j.jsonl")[-1]


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


def test_interrupt(folder):
    run = start(folder, "run", "--json", "j.jsonl", ".", agent=FAKE + " --fault one=endless")
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
    assert records[0]["ev"] == "run" and records[-1]["ev"] in ("slice", "batch", "done")


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
    """Without -t, scenarios that do not run are counted. With -t, they are named."""
    all_of_them = faultline(folder, "targets", agent=FAKE + " --targets host").stdout
    asked = faultline(folder, "targets", "-t", "host", agent=FAKE + " --targets host").stdout
    assert "no long-term pins" in all_of_them and "pin-munmap-orphan" not in all_of_them
    assert "no long-term pins" in asked and "pin-munmap-orphan" in asked
    assert "faultline targets -t TARGET" in all_of_them and "-t TARGET" not in asked


def test_a_root_that_is_not_made(folder):
    """The lab may still be available."""
    lab = folder / "lab"
    lab.write_text("#!/bin/sh\n[ $1 = path ] && exit 0\necho first\necho 'lab: build it: ci/lab root'\nexit 3\n")
    lab.chmod(0o755)
    result = faultline(folder, "targets", "--json", "one.scn", FAULTLINE_LAB=str(lab))
    rows = {row["target"]: row for row in json.loads(result.stdout)}
    assert rows["lab:host"]["available"] and not rows["debian13:host"]["available"]
    assert rows["debian13:host"]["why"] == "lab: build it: ci/lab root"


def test_a_run_under_another_root(folder):
    """ci/lab chroot starts it, without options for a kernel."""
    result = faultline(folder, "run", "-t", "debian13:host", "-t", "lab:host", "--lab-append", "quiet", "--json",
                       "j.jsonl", "one.scn")
    assert result.returncode == 0
    assert "Verdict one agree (debian13:host" in result.stdout
    starts = {each["place"]: each["command"] for each in journal(folder / "j.jsonl")
              if each["ev"] == "machine" and each["event"] == "start"}
    assert starts["debian13"][-3:] == ["chroot", "--agent", str(ROOT / "build/faultline-agent-opencl")]
    assert starts["lab"][-6:-4] == ["boot", "--agent"] and starts["lab"][-3:-1] == ["--append=quiet", "--console"]
