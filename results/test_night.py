"""The total over the journals of a night."""

import json
import pathlib
import subprocess

NIGHT = pathlib.Path(__file__).resolve().parent / "night.py"


def verdict(scenario, target, kind, reason="", **more):
    return {"ev": "verdict", "scenario": scenario, "target": target, "verdict": kind, "reason": reason, "iterations": 10, "t": 60, **more}


def night(folder, *parts):
    paths = []
    for number, records in enumerate(parts):
        paths.append(folder / f"{number}.jsonl")
        paths[-1].write_text("".join(each if isinstance(each, str) else json.dumps(each) + "\n" for each in records))
    done = subprocess.run(["/usr/bin/python3", NIGHT, *paths], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


RUN = {"ev": "run", "t": 0}


def end(code):
    return {"ev": "end", "exit_code": code, "t": 120}


def test_one_total(tmp_path):
    first = [RUN, verdict("one", "host", "agree"), verdict("two", "host", "forbidden", "1 outcome is not allowed", again="faultline run two"),
             verdict("three", "lab:dmirror", "skipped", "no pins"), verdict("four", "lab:dmirror", "skipped", "no pins"), end(1)]
    second = [RUN, verdict("three", "opencl", "skipped", "no pins"), verdict("one", "opencl", "inconclusive", "no iteration was run", again="faultline run one"),
              verdict("four", "opencl", "inconclusive", "no iteration was run"), verdict("four", "opencl", "error", "it broke"), verdict("two", "opencl", "skipped", "no mm"), end(3)]
    code, out, _ = night(tmp_path, first, second)
    assert code == 1
    assert out == """\
Night              agree  forbidden      error  inconclusive    skipped  iterations
  host                 1          1          0             0          0          20
  lab:dmirror          0          0          0             0          2          20
  opencl               0          0          1             2          2          50
Found:
  forbidden    two on host: 1 outcome is not allowed
      Again: faultline run two
The bench failed:
  error        four on opencl: it broke
Not decided:
      2 on opencl: no iteration was run
      Again: faultline run one
Skipped:
      3 on 2 targets: no pins
      1 on opencl: no mm
2 runs, 4 minutes
Exit 1: something was found
"""


def test_all_agree(tmp_path):
    code, out, _ = night(tmp_path, [RUN, verdict("one", "host", "agree"), end(0)])
    assert code == 0 and out.endswith("1 run, 2 minutes\nExit 0: all agree\n") and "Found" not in out


def test_a_run_that_was_killed(tmp_path):
    code, out, _ = night(tmp_path, [RUN, verdict("one", "host", "health", "BUG: x"), '{"ev": "verd'], [RUN, end(0)])
    assert code == 4
    assert "  health       one on host: BUG: x\n" in out
    assert f"Not ended: {tmp_path}/0.jsonl (the run was killed" in out


def test_bad_input(tmp_path):
    done = subprocess.run(["/usr/bin/python3", NIGHT, tmp_path / "none"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == f"results/night.py: {tmp_path}/none: No such file or directory\n"
