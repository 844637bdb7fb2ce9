"""faultline storm: the command line, its journal, and what it says of an agent that finds something or dies."""

import json
import signal
import subprocess

import pytest

from command_line import FAULTLINE, ROOT, faultline, journal, start, tried, wait_for

AGENT = f"{FAULTLINE.parent}/faultline-agent --stdio"

DONE = {"ev": "done", "id": 1, "iterations": 1}


def news(number=1, **more):
    return {"ev": "storm", "id": 1, "round": number, "idle": False, "rows": [], "counts": {}, "levels": {}, "wrong": []} | more


def agent(folder, *events, dies=False):
    """An agent that has this machine's targets, and answers a storm with these events."""
    hello = subprocess.run(AGENT.split(), input='{"op":"hello"}\n', capture_output=True, text=True, check=True).stdout.splitlines()[0]
    script = folder / "agent.py"
    script.write_text(f"""import json, sys
for line in sys.stdin:
    op = json.loads(line)["op"]
    if op == "hello": print({hello!r}, flush=True)
    if op == "storm":
        for event in {[json.dumps(event) for event in events]!r}: print(event, flush=True)
        if {dies}: sys.exit(3)
    if op == "quit": break
""")
    return f"/usr/bin/python3 {script}"


def storm(folder, *words, agent=AGENT, timeout=300):
    return faultline(folder, "storm", *words, "--json", "journal.jsonl", agent=agent, timeout=timeout)


@pytest.mark.parametrize("kind, call", [("fault", "munmap"), ("fork", "fork"), ("teardown", "exec")])
def test_a_storm_on_this_machine_finds_nothing(tmp_path, kind, call):
    done = storm(tmp_path, kind, "--time", "12", "--threads", "16", "--seed", "4")
    assert done.returncode in (0, 3), done.stdout + done.stderr  # 3: too busy for a verdict
    assert f"Storm {kind} on host" in done.stdout and f"\n{call} " in done.stdout and "Values that no" not in done.stdout
    told = journal(tmp_path / "journal.jsonl")
    assert told[0]["ev"] == "run" and told[0]["seed"] == 4 and told[-1] == told[-1] | {"ev": "end", "exit": done.returncode}
    assert any(record["ev"] == "storm" and record["target"] == "host" and record["rows"] for record in told)
    picture = subprocess.run([ROOT / "results/storm_picture.py", tmp_path / "journal.jsonl", "-o", tmp_path / "storm.svg"], check=False)
    assert picture.returncode == 0


def test_ctrl_c_reports_what_is_there(tmp_path):
    running = start(tmp_path, "storm", "teardown", "--time", "3000", "--threads", "4", "--json", "journal.jsonl", agent=AGENT)
    wait_for(tmp_path / "journal.jsonl", "storm")
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=120)
    assert running.returncode in (0, 3) and "Verdict storm-teardown" in out


def test_findings_are_told_at_once_and_in_the_end(tmp_path):
    done = storm(tmp_path, "fault", agent=agent(tmp_path, news(wrong=["a load gives 3"]), DONE))
    assert done.returncode == 1
    assert "Found after 0 s: round 1: a load gives 3\n" in done.stdout
    assert "Values that no healthy kernel shows: 1\n  | round 1: a load gives 3\nFirst finding after 0.0 s\n" in done.stdout
    assert "Verdict storm-fault forbidden (host" in done.stdout


def test_the_kernel_log_and_hangs_are_findings(tmp_path):
    health = {"ev": "health", "id": 1, "lines": ["WARNING: CPU: 0 at mm/x.c"]}
    done = storm(tmp_path, "fault", agent=agent(tmp_path, news(), health, DONE))
    assert done.returncode == 1 and "Verdict storm-fault health" in done.stdout and "  | WARNING: CPU: 0 at mm/x.c" in done.stdout
    thread = {"thread": "", "tid": 5, "statement": "", "state": "D", "wchan": "down_read", "syscall": "", "stack": ["[<0>] x"]}
    hang = {"ev": "hang", "id": 1, "iteration": 2, "stuck": True, "why": ["it survives SIGKILL"], "threads": [thread]}
    (tmp_path / "journal.jsonl").unlink()
    done = storm(tmp_path, "fault", agent=agent(tmp_path, news(), hang, DONE))
    assert done.returncode == 1 and "Verdict storm-fault hang" in done.stdout and "in down_read" in done.stdout


def test_a_leak_is_a_finding(tmp_path):
    rounds = [news(n, idle=idle, levels={"mm_struct": 100 + n}) for n in range(20) for idle in (False, True)]
    done = storm(tmp_path, "teardown", agent=agent(tmp_path, *rounds, DONE))
    assert done.returncode == 1 and "LEAKS" in done.stdout
    (tmp_path / "journal.jsonl").unlink()
    level = [news(n, idle=idle, levels={"mm_struct": 100}) for n in range(20) for idle in (False, True)]
    done = storm(tmp_path, "teardown", agent=agent(tmp_path, *level, DONE))
    assert done.returncode == 0 and "LEAKS" not in done.stdout


def test_an_agent_that_dies_is_a_failure_of_the_bench(tmp_path):
    done = storm(tmp_path, "fault", agent=agent(tmp_path, news(), dies=True))
    assert done.returncode == 4 and "the agent was lost, this machine is alive" in done.stdout
    done = storm(tmp_path, "fault", agent=agent(tmp_path, {"ev": "storm", "id": 1}))
    assert done.returncode == 4 and "not the agent's protocol" in done.stdout


@pytest.mark.parametrize("words, message", [
    (["flood"], "faultline: unknown storm 'flood'; there are fault, fork, teardown\n"),
    (["falt"], "faultline: unknown storm 'falt'; did you mean 'fault'?\n"),
    (["fault", "-t", "pinned"], "faultline: a device of the class pinned has no faults; 'faultline storm fork -t pinned' is for it\n"),
    (["fault", "-t", "opencl"], "faultline: no storm runs on opencl: its driver's known bugs would end it; there are host, pinned, "
                                "dmirror, lab:dmirror ...\n"),
    (["fault", "--lab-append", "x"], "faultline: --lab-kernel and --lab-append need a target in the lab\n"),
    (["fault", "-t", "lab:dmirror", "--lab-kernel", "none"], "faultline: --lab-kernel none cannot be read\n"),
    (["fault", "--time", "-1"], "faultline: --time: not a number above 0: '-1'\n" + tried(" storm")),
    (["fault", "--seed", "-1"], "faultline: --seed: not a number from 0 to 2^64 - 1: '-1'\n" + tried(" storm")),
    ([], "faultline: KIND is required\n" + tried(" storm")),
])
def test_bad_usage(tmp_path, words, message):
    done = faultline(tmp_path, "storm", *words, agent=AGENT)
    assert (done.returncode, done.stderr) == (2, message)


def test_too_many_threads(tmp_path):
    done = faultline(tmp_path, "storm", "fault", "--threads", "5000", agent=AGENT)
    assert done.returncode == 2 and "--threads" in done.stderr


def test_help_teaches(tmp_path):
    done = faultline(tmp_path, "storm", "--help", agent=AGENT)
    assert done.returncode == 0
    for word in ("teardown", "--stop-at-first", "storm_picture.py", "Exit codes"):
        assert word in done.stdout
