"""What a careless caller or a hostile file may do to a run: nothing is lost, and nothing else is harmed."""

import json
import os
import signal
import subprocess

import pytest

from command_line import FAKE, FAULTLINE, ONE, ROOT, environment, faultline, journal, start, wait_for

BATCH = {"ev": "batch", "scenario": "one", "first": 0, "count": 1, "ns": 1, "outcomes": [],
         "parameters": {"seed": 5, "cpus": [-1], "offsets": [[120]]}}


def disturbed(row):
    return BATCH | {"parameters": BATCH["parameters"] | {"disturbances": [row]}}


def lines(path, *records):
    path.write_text("".join(json.dumps(each) + "\n" for each in records))


# --- the journal ---


def test_a_file_that_is_no_journal_is_not_touched(folder):
    result = faultline(folder, "run", "--json", "one.scn", "two.scn")
    assert result.returncode == 2
    assert result.stderr == ("faultline: the journal one.scn: it is there, and is no journal of a run (its first line is no "
                             "record); give another name\n")
    assert (folder / "one.scn").read_text() == ONE


def test_a_second_run_in_the_same_journal(folder):
    first = start(folder, "run", "--time", "600", "--json", "j.jsonl", "one.scn", agent=FAKE)
    wait_for(folder / "j.jsonl", "batch")
    result = faultline(folder, "run", "--json", "j.jsonl", "one.scn")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=20)
    assert result.returncode == 2
    assert result.stderr == "faultline: the journal j.jsonl: another run is writing it; give each run a file of its own\n"
    assert faultline(folder, "run", "--json", "j.jsonl", "one.scn").returncode == 0
    assert [each["ev"] for each in journal(folder / "j.jsonl")].count("run") == 2


def test_half_a_line_spoils_no_other(folder):
    assert faultline(folder, "run", "--json", "j.jsonl", "one.scn").returncode == 0
    with open(folder / "j.jsonl", "a", encoding="utf-8") as file:
        file.write('{"ev": "bat')
    assert faultline(folder, "run", "--json", "j.jsonl", "one.scn").returncode == 0
    bad = [line for line in (folder / "j.jsonl").read_text().splitlines() if not line.endswith("}")]
    assert bad == ['{"ev": "bat']


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_descriptors_do_not_become_the_journal(folder, closed):
    done = subprocess.run(["/bin/sh", "-c", f'exec "{FAULTLINE}" run --json j.jsonl one.scn {closed}'], cwd=folder,
                          env=environment(FAKE), timeout=60, check=False)
    assert done.returncode == 0
    assert journal(folder / "j.jsonl")[-1]["ev"] == "end"


def test_a_run_to_a_pipe_leaves_nothing(folder):
    done = subprocess.run([FAULTLINE, "run", "--json", "/dev/stdout", "one.scn"], cwd=folder, timeout=60, check=True,
                          env=environment(FAKE) | {"FAULTLINE_ROOT": str(folder), "TMPDIR": str(folder)}, capture_output=True, text=True)
    assert '"ev":"end"' in done.stdout
    assert not list((folder / "results/runs").iterdir()) and not list(folder.glob("faultline-*"))


# --- output, signals, words ---


def test_output_that_is_lost_is_no_success(folder):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([FAULTLINE, "run", "--json", "j.jsonl", "one.scn"], cwd=folder, env=environment(FAKE), stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert done.stderr == "faultline: standard output could not be written; what it shows is not complete\n"
    assert journal(folder / "j.jsonl")[-1]["exit_code"] == 0


def test_hangups_end_it_in_good_order(folder):
    run = start(folder, "run", "--json", "j.jsonl", ".", agent=FAKE + " --fault one=endless")
    wait_for(folder / "j.jsonl", "batch")
    for _ in range(5):
        run.send_signal(signal.SIGHUP)
    out, _ = run.communicate(timeout=20)
    assert run.returncode == 3
    assert "Interrupted: 1 trial did not run" in out
    assert journal(folder / "j.jsonl")[-1]["interrupted"] is True


def test_nohup_goes_on(folder):
    run = subprocess.Popen([FAULTLINE, "run", "--time", "2", "--json", "j.jsonl", "one.scn"], cwd=folder, env=environment(FAKE),
                           stdout=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    wait_for(folder / "j.jsonl", "batch")
    run.send_signal(signal.SIGHUP)
    run.communicate(timeout=20)
    assert run.returncode == 0
    assert journal(folder / "j.jsonl")[-1]["interrupted"] is False


@pytest.mark.parametrize("seed", ["-1", "12345678901234567890123", "seven", "1.5", ""])
def test_seeds(folder, seed):
    result = faultline(folder, "run", f"--seed={seed}", "one.scn")
    assert result.returncode == 2
    assert result.stderr.startswith("faultline: --seed: ") and result.stdout == ""


def test_why_a_machine_does_not_start_is_in_the_summary(folder):
    result = faultline(folder, "run", "-t", "lab:host", "--json", "j.jsonl", "one.scn", agent="sh -c 'echo lab: no space for it >&2; exit 4'")
    assert result.returncode == 3
    assert "inconclusive one on lab:host: the machine did not start: its process ended: exit status 4: lab: no space for it\n" in result.stdout


def test_a_kernel_that_is_none_is_told_before_anything_runs(folder):
    result = faultline(folder, "run", "-t", "lab:host", "--lab-kernel", "/etc/passwd", "one.scn", FAULTLINE_LAB=str(ROOT / "ci/lab"))
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr == "faultline: lab: kernel /etc/passwd is not a bzImage: give arch/x86/boot/bzImage of your build tree\n"


# --- replay ---


@pytest.mark.parametrize("text, record, message", [
    (ONE, BATCH | {"scenario": "two"}, "that batch is of the scenario 'two', not of one.scn; give only its file"),
    (ONE.replace("1 pages", "2 pages"), BATCH, "one.scn has changed since; the journal has the text that was run"),
    (ONE, BATCH | {"parameters": {"seed": 5, "cpus": [-1, 0], "offsets": [[120]]}}, "parameters: 2 cpus for 1 threads"),
    (ONE, BATCH | {"parameters": {"seed": 5, "cpus": [-1], "offsets": [[120]] * 100000}},
     "parameters: 100000 rows of offsets; at most 64 are drawn"),
    (ONE, BATCH | {"parameters": {"seed": 5, "cpus": [-1], "offsets": [[0] * 3_000_000]}},
     "parameters: a row of 3000000 offsets where the program has 1"),
    (ONE, disturbed([["preempt", 0, 0, 10**6, 10**12]]), "parameters: preempt of 0 for 1000000000000 ns"),
    (ONE, disturbed([["stall", 1, 0, 0, 10]]), "parameters: stall of 1 where there are 1"),
    (ONE, disturbed([["signals", 0, 0, 0, 0]]), "parameters: signals of 0 for 0 ns"),
    (ONE, disturbed([["stall", 0, 0, 0, 10]] * 9), "parameters: 9 disturbances of an iteration; at most 4"),
    (ONE, disturbed(["stall", 0, 0, 0, 10]), '"disturbances" has "stall"'),
], ids=["another", "changed", "cpus", "rows", "offsets", "long", "whom", "often", "many", "nonsense"])
def test_a_replay_fits_its_scenario(folder, text, record, message):
    lines(folder / "j.jsonl", {"ev": "scenario", "scenario": "one", "text": text}, record)
    result = faultline(folder, "run", "--replay", "j.jsonl:2", "one.scn")
    assert result.returncode == 2
    assert result.stderr == f"faultline: --replay j.jsonl:2: {message}\n" and result.stdout == ""


def test_a_replay_that_fits(folder):
    lines(folder / "j.jsonl", {"ev": "scenario", "scenario": "one", "text": "# a comment\n" + ONE}, BATCH)
    assert faultline(folder, "run", "--replay", "j.jsonl:2", "one.scn").returncode == 0


def test_a_replay_of_a_fifo_does_not_block(folder):
    os.mkfifo(folder / "fifo")
    result = faultline(folder, "run", "--replay", "fifo:1", "one.scn", timeout=20)
    assert (result.returncode, result.stderr) == (2, "faultline: --replay fifo:1: not a file\n")


def test_a_replay_of_what_never_ends(folder):
    result = faultline(folder, "run", "--replay", "/dev/zero:1", "one.scn", timeout=20)
    assert result.returncode == 2
    assert result.stderr == "faultline: --replay /dev/zero:1: not a file\n"


# --- memory ---


def test_a_scenario_that_would_take_all_memory_is_skipped(folder):
    (folder / "huge.scn").write_text("scenario huge\nprocess P\n  a: 268435456 pages anon rw\n  e = madvise a populate-write\n")
    result = faultline(folder, "run", "--iterations", "1", "huge.scn", agent=str(FAULTLINE) + "-agent --stdio")
    assert result.returncode == 3
    assert "it may take 1024.0 GiB of memory, which is more than half of the " in result.stdout
