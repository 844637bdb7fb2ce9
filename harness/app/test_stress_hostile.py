"""What a careless caller, a hostile file or a broken machine may do to stress, shrink, repro and storm: what was learnt stays."""

import json
import os
import signal
import subprocess
import uuid

import pytest

from command_line import FAKE, FAULTLINE, ONE, ROOT, environment, faultline, journal, start, tried, wait_for
from test_killed import MARK, gone_in, marked

AGENT = f"{FAULTLINE.parent}/faultline-agent --stdio"
FOUND = FAKE + " --fault one=forbidden"
LARGE = "scenario one\nprocess P\n  a: 2 pages anon rw = 7\n  r0 = load a[0]\nthread P.other\n  delay 1us\n"


def stress(folder, *words, agent=FOUND, timeout=100):
    return faultline(folder, "stress", "-t", "host", "--json", "j.jsonl", *words, agent=agent, timeout=timeout)


# --- words ---


@pytest.mark.parametrize("command", [("stress",), ("shrink", "one.scn"), ("storm", "fault")])
@pytest.mark.parametrize("option, word, message", [
    ("--seed", "-1", "not a number from 0 to 2^64 - 1: '-1'"),
    ("--seed", "one", "not a number from 0 to 2^64 - 1: 'one'"),
    ("--seed", "1e3", "not a number from 0 to 2^64 - 1: '1e3'"),
    ("--seed", "18446744073709551616", "not a number from 0 to 2^64 - 1: '18446744073709551616'"),
    ("--time", "0", "not a number above 0: '0'"),
    ("--time", "-3", "not a number above 0: '-3'"),
    ("--time", "ten minutes", "not a number above 0: 'ten minutes'"),
    ("--time", "nan", "not a number above 0: 'nan'"),
    ("--time", "1e10", "more than 1000000000: '1e10'"),
    ("--time", "inf", "more than 1000000000: 'inf'"),
])
def test_seeds_and_budgets_without_sense(folder, command, option, word, message):
    result = faultline(folder, *command, option, word)
    largest = message.replace("1000000000", "1000000") if command[0] == "storm" else message
    assert (result.returncode, result.stderr) == (2, f"faultline: {option}: {largest}\n" + tried(" " + command[0]))
    assert len(list(folder.iterdir())) == 2, "no journal"


def test_the_largest_seed_and_a_budget_of_nothing(folder):
    result = stress(folder, "--seed", str(2**64 - 1), "--time", "0.001", ".", agent=FAKE)
    assert result.returncode in (0, 3), result.stdout + result.stderr
    assert f"Seed {2**64 - 1}, 0.0 s on host" in result.stdout
    assert "--resume j.jsonl --time 1\n" in result.stdout


@pytest.mark.parametrize("threads", ["0", "-1", "many", "4294967297"])
def test_threads_without_sense(folder, threads):
    result = faultline(folder, "storm", "fault", "--threads", threads, agent=AGENT)
    assert result.returncode == 2 and result.stderr.startswith("faultline: --threads: ")


# --- a target that disappears ---


def test_an_agent_that_dies(folder):
    """The campaign goes on with another one; what died is told, and is no finding: this machine is alive."""
    result = stress(folder, "--time", "3", ".", agent=FAKE + " --fault one=die")
    assert result.returncode == 4, result.stdout
    assert "Nothing was found" in result.stdout and "Failed: one on host: the agent was lost, this machine is alive" in result.stdout
    ran = {each["scenario"]: each["iterations"] for each in journal(folder / "j.jsonl") if each["ev"] == "campaign"}
    assert ran["two"] > 0


def test_an_agent_that_dies_while_a_finding_is_made_small(folder):
    (folder / "one.scn").write_text(LARGE)
    result = faultline(folder, "shrink", "--time", "5", "one.scn", agent=FAKE + " --fault one=die")
    assert result.returncode == 4, result.stdout
    assert "host: the agent was lost, this machine is alive" in result.stdout
    assert not (folder / "one-shrunk.scn").exists()


@pytest.fixture
def lab(folder):
    """Starts faultline on the lab, and gives it with the pids of its QEMUs."""
    if subprocess.run([ROOT / "ci/lab", "path"], capture_output=True, check=False).returncode:
        pytest.skip("the lab kernel is not built: ci/lab build")
    mark = str(uuid.uuid4())

    def start_it(event, *words):
        run = subprocess.Popen([FAULTLINE, *words, "--json", "j.jsonl"], cwd=folder, env=os.environ | {MARK: mark},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3):  # its patience is half a minute
            try:
                wait_for(folder / "j.jsonl", event)
                break
            except AssertionError:
                assert run.poll() is None, run.communicate()
        return run, [pid for pid, command in marked(mark).items() if "qemu-system" in command.split(" ")[0]]
    yield start_it
    assert not gone_in(20, mark)


def test_a_machine_that_is_killed(folder, lab):
    run, machines = lab("batch", "stress", "-t", "lab:dmirror", "--time", "25", ROOT / "stress/scenarios/fork")
    assert machines
    for pid in machines:
        os.kill(pid, signal.SIGKILL)
    out, err = run.communicate(timeout=200)
    assert "Findings: 1\n  lost " in out and run.returncode == 1, out + err
    told = journal(folder / "j.jsonl")
    assert [each["what"] for each in told if each["ev"] == "campaign_finding"] == ["lost"]
    assert len([each for each in told if each["ev"] == "machine" and each["event"] == "start"]) >= 2, "it goes on with another one"


def test_a_machine_that_is_killed_under_a_storm(folder, lab):
    run, machines = lab("storm", "storm", "teardown", "-t", "lab:dmirror", "--time", "60", "--threads", "8")
    assert machines
    for pid in machines:
        os.kill(pid, signal.SIGKILL)
    out, err = run.communicate(timeout=200)
    assert run.returncode == 1 and "Found after" in out and "the machine is lost" in out, out + err
    assert "Verdict storm-teardown lost" in out
    assert [each["ev"] for each in journal(folder / "j.jsonl")][-2:] == ["verdict", "end"]


# --- full disks, folders that take nothing ---


def limited(folder, *words, size, agent=FOUND):
    """With files of at most `size` bytes: what does not fit is as on a full disk."""
    line = f'trap "" XFSZ; exec prlimit --fsize={size} "$@"'
    return subprocess.run(["/bin/sh", "-c", line, "sh", FAULTLINE, *words], cwd=folder, env=environment(agent),
                          capture_output=True, text=True, timeout=100, check=False)


def test_a_full_disk_under_the_journal_of_a_campaign(folder):
    result = limited(folder, "stress", "-t", "host", "--time", "600", "--seed", "7", "--json", "j.jsonl", ".", size=60000, agent=FOUND)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "j.jsonl: No space left on device; the run ends here" in result.stderr
    assert "The journal could not be written: j.jsonl: No space left on device; what is above was not all kept\n" in result.stdout
    assert "forbidden one on host" in " ".join(result.stdout.split()) and result.stdout.endswith("Exit 1: something was found\n")
    records = journal(folder / "j.jsonl")  # whole lines only
    assert sum(each["ev"] == "campaign_finding" for each in records) == 1
    again = faultline(folder, "stress", "--resume", "j.jsonl", "--time", "2", agent=FOUND)
    assert again.returncode == 1 and ", 1 finding\n" in again.stdout and "Found forbidden" not in again.stdout


def test_a_full_disk_from_the_first_record_on(folder):
    for words in (["stress", "-t", "host", "--time", "600", "."], ["shrink", "--time", "60", "one.scn"]):
        result = faultline(folder, *words, "--json", "/dev/full", FAULTLINE_ROOT=str(folder))
        assert result.returncode == 4, result.stdout + result.stderr
        assert "The journal could not be written: /dev/full: No space left on device" in result.stdout
        assert "Go on:" not in result.stdout
    assert not list((folder / "results/runs").iterdir())


def test_a_full_disk_under_a_storm(folder):
    result = faultline(folder, "storm", "fault", "--time", "3", "--threads", "2", "--json", "/dev/full", agent=AGENT,
                       FAULTLINE_ROOT=str(folder))
    assert result.returncode == 4, result.stdout + result.stderr
    assert "The journal could not be written: /dev/full: No space left on device" in result.stdout


def test_a_small_scenario_that_cannot_be_written_is_told(folder):
    (folder / "one.scn").write_text(LARGE)
    (folder / "small").mkdir()
    result = faultline(folder, "shrink", "--time", "30", "-o", "small", "one.scn", agent=FOUND)
    assert result.returncode == 4, result.stdout
    assert result.stderr == "faultline: small: Is a directory: the scenario is above, and in no file\n"
    assert "  a: 1 page anon rw = 7\nthread" not in result.stdout and "  r0 = load a[0]\n" in result.stdout
    assert "1 statement of 2, shows in" in result.stdout and "Written to" not in result.stdout


def test_a_campaign_beside_which_no_file_can_lie(folder):
    (folder / "j.jsonl.one-shrunk.scn").mkdir()
    result = stress(folder, "--time", "8", "one.scn")
    assert result.returncode == 1
    assert "faultline: j.jsonl.one-shrunk.scn: Is a directory" in result.stderr
    assert "Smaller: " in result.stdout and "Findings: " in result.stdout


def test_a_place_where_no_journal_can_be(folder):
    result = faultline(folder, "stress", "-t", "host", "--json", "one.scn/j.jsonl", "one.scn")
    assert (result.returncode, result.stderr) == (2, "faultline: the journal one.scn/j.jsonl: Not a directory\n")


# --- journals that do not fit ---


def run_record(**more):
    return {"ev": "run", "t": 1.0, "program": "faultline stress", "journal_version": 1, "seconds": 5, "seed": 7,
            "targets": ["host"], "paths": ["one.scn"], "lab": {"kernel": "", "append": "", "modules": "", "gpu": ""}} | more


def without(record, key):
    return {name: value for name, value in record.items() if name != key}


NO_CAMPAIGN = "not the journal of a campaign"


@pytest.mark.parametrize("content, message", [
    (b"", NO_CAMPAIGN),
    (b"\0" * 4096, NO_CAMPAIGN),
    (b"\x7fELF\x02\x01\x01" + bytes(range(256)), NO_CAMPAIGN),
    (b"[1, 2, 3]\n", NO_CAMPAIGN),
    (run_record(journal_version=2), "journal version 2, and this program goes on with version 1; use the faultline that wrote it"),
    (without(run_record(), "journal_version"), "journal version 0, and"),
    (run_record(program="faultline"), "the journal of 'faultline run', not of a campaign; give one that 'faultline stress' has"),
    (run_record(program="faultline storm"), "the journal of 'faultline storm', not of a campaign"),
    (run_record(program="\x1b[31m"), "the journal of '?[31m', not of a campaign"),
    (without(run_record(), "lab"), NO_CAMPAIGN),
    (run_record(seed="seven"), NO_CAMPAIGN),
    (run_record(t="late"), NO_CAMPAIGN),
    (run_record(targets=["hots"]), "unknown target 'hots'; did you mean 'host'?"),
    (run_record(seconds=-5), "that campaign has had all of its time; --time says for how long it goes on"),
    (run_record(paths=["gone.scn"]), "gone.scn: cannot be read"),
])
def test_a_broken_journal_is_not_gone_on_with(folder, content, message):
    text = content if isinstance(content, bytes) else json.dumps(content).encode() + b"\n"
    (folder / "j.jsonl").write_bytes(text)
    result = faultline(folder, "stress", "--resume", "j.jsonl")
    assert result.returncode == 2 and message in result.stderr, result.stderr
    assert result.stdout == "" and (folder / "j.jsonl").read_bytes() == text


def test_a_journal_with_a_hole_goes_on(folder):
    """Half of its middle is gone, and a record is of no known kind: the finding and what else reads is kept."""
    assert stress(folder, "--time", "3", "--seed", "7", ".").returncode == 1
    lines = (folder / "j.jsonl").read_text().splitlines()
    kept = next(number for number, line in enumerate(lines) if '"campaign_finding"' in line)
    cut = [*lines[:kept + 1], lines[kept + 1][:20], '{"ev":"campaign","target":"host","pool":"later"}', "\0\0\0\0", '{"ev":7}',
           *lines[kept + 5:]]
    (folder / "j.jsonl").write_text("\n".join(cut))
    result = faultline(folder, "stress", "--resume", "j.jsonl", "--time", "2", agent=FOUND)
    assert result.returncode == 1, result.stdout + result.stderr
    assert ", 1 finding\n" in result.stdout and "Found forbidden" not in result.stdout


# --- signals ---


def test_two_interrupts_end_it_at_once(folder):
    run = start(folder, "stress", "-t", "host", "--time", "600", "--json", "j.jsonl", ".",
                agent=FOUND + " --fault two=deaf")
    wait_for(folder / "j.jsonl", "campaign_finding")
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=30)
    assert run.returncode == 1 and "Findings: 1\n" in out and "one on host" in out
    assert journal(folder / "j.jsonl")[-1]["ev"] == "end"


def test_sigterm_while_a_finding_is_made_small(folder):
    (folder / "one.scn").write_text(LARGE + "  delay 1us\n" * 60)
    deaf = f"sh -c '(sed -u 4q; sleep 1000) | {FOUND}'"  # after a hello, the scenario and two candidates
    run = start(folder, "shrink", "--time", "600", "--json", "j.jsonl", "one.scn", agent=deaf)
    wait_for(folder / "j.jsonl", "slice", 3)
    run.terminate()
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 1, out
    assert "not yet the smallest" in out and "r0 = load a[0]" in (folder / "one-shrunk.scn").read_text()


def test_sigterm_before_anything_showed(folder):
    run = start(folder, "shrink", "--time", "600", "--json", "j.jsonl", "one.scn", agent=FAKE + " --fault one=endless")
    wait_for(folder / "j.jsonl", "batch")
    run.terminate()
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 3, out
    assert "Interrupted before one.scn had shown a finding" in out and "Nothing to make smaller" not in out


# --- reproducers ---


@pytest.mark.parametrize("text, message", [
    (ONE.replace("process P", "device d: preempt-and-restore\nprocess P") + "thread P.gpu on d\n  store a[0] 1\n",
     "a program in C cannot drive a device of class preempt-and-restore"),
    (ONE.replace("always P:r0 = 7\n", ""), "has no claim 'never' or 'always' to look for on this device: give --outcome CONDITION"),
])
def test_what_c_cannot_say(folder, text, message):
    (folder / "one.scn").write_text(text)
    result = faultline(folder, "repro", "one.scn", "-o", "x.c")
    assert result.returncode == 2 and message in result.stderr and not (folder / "x.c").exists()


@pytest.mark.parametrize("output, message", [
    (".", "faultline: . is a folder: give the name of a file in it, such as ./repro.c\n"),
    ("none/x.c", "faultline: none/x.c: No such file or directory\n"),
    ("/dev/full", "faultline: /dev/full: No space left on device\n"),
    ("one.scn", "faultline: one.scn is there, and 'faultline repro' did not make it: --force replaces it\n"),
])
def test_where_no_reproducer_can_be_written(folder, output, message):
    result = faultline(folder, "repro", "one.scn", "-o", output, timeout=30)
    assert (result.returncode, result.stderr) == (2, message)
    assert (folder / "one.scn").read_text() == ONE
