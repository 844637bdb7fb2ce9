"""The benchmark runs, and notices when the two explorers disagree."""
import pathlib
import re
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
LADDER = HERE.parents[1] / "build" / "ladder"
FAULTLINE = HERE.parents[1] / "build" / "faultline"


def bench(*arguments, predict=""):
    return subprocess.run([HERE / "bench.py", "--ladder", LADDER, "--predict", predict, *arguments], capture_output=True, text=True,
                          timeout=300)


def test_smallest_rung_and_a_planted_bug():
    done = bench("--rungs", "1,1", "--bugs", "no-read-retry")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "outcomes, equal" in done.stdout
    assert done.stdout.count("found") == 2


def test_what_predictions_cost(tmp_path):
    done = bench("--rungs", "", "--bugs", "", predict=FAULTLINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^Predictions of all \d+ scenarios: ", done.stdout, re.M)
    assert re.search(r"ratio: .*, 1.00 in states", done.stdout)
    grows = tmp_path / "grows"  # reports as many states as the file's name says pages
    grows.write_text('#!/bin/sh\nn=$(basename "$2" .scn)\nprintf "\\nStates %s, executions 1\\n" "${n#scenarios}"\n')
    grows.chmod(0o755)
    assert bench("--rungs", "", "--bugs", "", predict=grows).returncode == 1


def altered(tmp_path, old, new):
    text = (HERE / "interval_notifier.pml").read_text()
    assert old in text
    model = tmp_path / "wrong.pml"
    model.write_text(text.replace(old, new))
    return model


def test_a_wrong_model_is_noticed_by_its_outcomes(tmp_path):
    model = altered(tmp_path, "byte pte = 1;", "byte pte = 2;")
    done = bench("--rungs", "1,1", "--bugs", "", "--model", model)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "THEY DIFFER" in done.stdout


def test_a_model_that_checks_nothing_misses_a_bug(tmp_path):
    model = altered(tmp_path, "#define CURRENT assert(", "#define CURRENT skip; //")
    done = bench("--rungs", "", "--bugs", "no-read-retry", "--model", model)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "MISSED" in done.stdout


def test_a_limit_is_told_and_decides_nothing():
    done = bench("--rungs", "2,2", "--bugs", "", "--seconds", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SPIN: stopped at 0 s" in done.stdout


def test_a_model_that_does_not_compile_is_the_benchs_failure(tmp_path):
    model = altered(tmp_path, "d_step", "step_d")
    assert bench("--rungs", "1,1", "--bugs", "", "--model", model).returncode == 4
