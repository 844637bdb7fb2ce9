"""In the virtual lab the executor pages out and moves pages while a scenario runs (harness/executor/disturbance.h)."""

import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCENARIO = ROOT / "stress/scenarios/mapping/store-after-reclaim.scn"  # nothing in it unmaps its page


def run(folder, *words):
    journal = folder / "journal.jsonl"
    done = subprocess.run([ROOT / "build/faultline", "run", "-t", "lab:dmirror", "--seed", "3", "--json", journal, *map(str, words), SCENARIO],
                          capture_output=True, text=True, timeout=550, check=False)
    return done, journal


def kinds(journal):
    """The kinds of disturbances that iterations had."""
    parameters = [record["parameters"] for record in map(json.loads, journal.read_text().splitlines()) if "parameters" in record]
    return {disturbance[0] for each in parameters for row in each.get("disturbances", []) for disturbance in row}


def test_a_healthy_kernel_keeps_the_value(tmp_path, lab_kernel):
    lab_kernel()
    done, journal = run(tmp_path, "--iterations", 1500)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"reclaim", "move"} <= kinds(journal)


def test_a_kernel_that_tells_no_notifier_is_found(tmp_path, lab_kernel):
    """Bug 29: try_to_migrate_one() moves a page under the device. Shown once in some hundred iterations."""
    words = ["--lab-kernel", lab_kernel("--mutants"), "--lab-append", "faultline_mutant=29", "--iterations", 5000, "--stop-at-first"]
    done, journal = run(tmp_path, *words)
    assert done.returncode == 1 and "forbidden (lab:dmirror" in done.stdout, done.stdout + done.stderr
    assert "move" in kinds(journal)
