"""Random one-thread programs against the reference: on this machine, and with a device in the virtual lab.

FAULTLINE_SEED draws other programs. stress/conformance/run.py runs more of them and says what was tried.
"""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import programs  # noqa: E402
import strategies  # noqa: E402
from checker import BadInput, Checker  # noqa: E402
from programs import Draft, Region, Statement, script  # noqa: E402

import faultline  # noqa: E402

SEED = int(os.environ.get("FAULTLINE_SEED", "1"))
RUN = ["/usr/bin/python3", str(HERE / "run.py")]
TWO_PAGES = (Region("anon", 2, "rw", True), Region("none", 2))


def lines(*statements: Statement) -> list[str]:
    text = script(Draft(TWO_PAGES, statements)).text
    return [line.strip() for line in text.splitlines()[1:] if not line.startswith("observe")]


# --- drafts ---


def test_order_of_statements():
    assert lines(Statement("store"), Statement("fork"), Statement("store", who=1), Statement("load"),
                 Statement("load", who=1), Statement("exit"), Statement("store", first=1)) == [
        "process P",
        "a: 2 pages anon rw = 100",
        "b: 2 pages none",
        "store a[0] 1",
        "fork C",
        "barrier turnC",  # the child stores
        "load a[0]",
        "barrier turnC",  # the child loads and exits
        "wait C",
        "store a[1] 7",
        "process C",
        "store a[0] 3",
        "barrier turnC",
        "barrier turnC",
        "load a[0]",
        "exit",
    ]


def test_numbers_without_a_meaning_get_one():
    assert lines(Statement("exit"), Statement("mremap", first=4, count=5, to_region=1, to_first=3),
                 Statement("store", who=2, region=2, first=3)) == [
        "process P", "a: 2 pages anon rw = 100", "b: 2 pages none", "mremap a[0] -> b[1]", "store a[1] 3"]


def test_every_operation_is_drawn():
    """An operation that no kind of statement writes would never be compared with a kernel."""
    # Programs here run one thread at a time: nothing is about the memory model or about time.
    not_here = {"delay", "exchange", "add", "compare-exchange", "svm-map", "svm-unmap", "svm-copy", "svm-fill"}
    fork, child = Statement("fork"), Statement("load", who=1)
    drawn = {word for kind in programs.KINDS for line in lines(fork, child, Statement(kind, count=2)) for word in line.split()}
    assert not_here.isdisjoint(drawn)
    assert set(faultline.operations()) - drawn == not_here


NEITHER = {"migrate": False, "snapshot": False, "pin": False, "direct": False, "uffd": False, "page_failures": False}
MIGRATES = NEITHER | {"migrate": True, "snapshot": True}
PINS = NEITHER | {"pin": True}
DIRECT = NEITHER | {"direct": True}
UFFD = NEITHER | {"uffd": True}
ALL = dict.fromkeys(NEITHER, True)


def test_kinds_follow_from_what_a_target_can_do():
    assert programs.kinds_of(NEITHER) == programs.PLAIN_KINDS
    assert programs.kinds_of(ALL) == programs.KINDS
    assert programs.kinds_of(DIRECT) == programs.PLAIN_KINDS + programs.DIRECT_KINDS
    assert programs.kinds_of(UFFD) == programs.PLAIN_KINDS + programs.UFFD_KINDS
    devices = set(programs.KINDS) - set(programs.DIRECT_KINDS) - set(programs.UFFD_KINDS)
    assert set(programs.kinds_of(MIGRATES)) == devices - set(programs.PIN_KINDS) - set(programs.FAILING_KINDS)
    assert set(programs.kinds_of(PINS)) == devices - set(programs.MIGRATION_KINDS) - set(programs.FAILING_KINDS)


@pytest.mark.parametrize("can, device_class", [(NEITHER, "shares-cpu-tables"), (DIRECT, "shares-cpu-tables"), (UFFD, "shares-cpu-tables"),
                                               (ALL, "recoverable"), (MIGRATES, "recoverable"), (PINS, "pinned")])
def test_every_draft_is_a_scenario(can, device_class):
    @settings(max_examples=200, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(strategies.drafts(programs.kinds_of(can), device_class))
    def attempt(draft):
        drawn = script(draft)
        if not drawn.done:
            return
        assert len(drawn.done) <= programs.MOST_STATEMENTS
        try:
            program = faultline.parse(drawn.text)
        except faultline.ParseError as error:
            if not programs.is_too_large(error):
                raise
            too_fine.append(drawn.text)
            return
        assert faultline.parse(program.print()) == program

    too_fine = []
    attempt()
    assert len(too_fine) < 20  # of 200


def test_held_access_has_a_thread_of_its_own():
    assert lines(Statement("uffd-register"), Statement("held")) == [
        "process P", "a: 2 pages anon rw = 100", "b: 2 pages none", "uffd-register a[0] both",
        "barrier held1", "uffd-copy a[0] 52", "uffd-unprotect a[0]", "uffd-wake a[0]", "uffd-wake a[0]",
        "barrier held1",
        "thread P.h0", "barrier held1", "store a[0] 2", "barrier held1"]


def test_userfaults_are_beside_anonymous_memory_alone():
    assert not programs.together("uffd-copy", "mmap shared") and programs.together("uffd-copy", "mmap anon")
    assert programs.together("mmap shared", "truncate")


# --- conformance ---


@pytest.fixture(scope="module")
def host():
    with Checker("host") as checker:
        yield checker


@pytest.fixture(scope="module")
def lab():
    path = subprocess.run([ROOT / "ci" / "lab", "path"], capture_output=True, text=True)
    if path.returncode != 0:  # minutes, once
        built = subprocess.run([ROOT / "ci" / "lab", "build"], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr[-2000:]
    with Checker("lab:dmirror") as checker:
        yield checker


@pytest.fixture(scope="module")
def pinned():
    try:
        with Checker("pinned") as checker:
            yield checker
    except BadInput as error:
        pytest.skip(str(error))


def agree(checker: Checker, count: int) -> None:
    before = checker.counts["agree"]
    difference = checker.find_difference(count, SEED)
    assert difference is None, f"{difference.verdict}\n{difference.script.text}\n{difference.text}"
    # Some programs are not run: empty ones, and those that would hit a known bug of the driver.
    assert checker.counts["agree"] - before > 0.8 * count, dict(checker.counts)


def test_host(host):
    agree(host, 300)


def test_pinned(pinned):
    agree(pinned, 300)


def test_lab_dmirror(lab):
    agree(lab, 100)


# Rules of the reference. If one of them is missing, a program finds that out, and a small one that is easy to read.
HOST_RULES = ["cow-keeps-shared-page", "fault-checks-write", "fork-write-protects", "fork-skips-dontfork",
              "mprotect-changes-ptes", "mremap-moves-contents", "dontneed-zaps", "shared-fault-uses-cache",
              "fault-checks-size", "cow-fault-copies", "truncate-unmaps", "hole-keeps-copies",
              "stack-grows", "stack-keeps-gap", "copied-vma-grows"]
UFFD_RULES = ["uffd-copy-keeps-page", "fork-drops-userfaults", "mremap-drops-userfaults"]
PIN_RULES = ["pin-breaks-cow", "pin-checks-write", "fork-copies-pinned", "unpin-lets-go"]
DIRECT_RULES = ["pin-breaks-cow", "pin-checks-write"]
DEVICE_RULES = ["hmm-checks-write", "hmm-extends-nothing", "migrate-copies", "callback-erases",
                "migrate-respects-pins"]


# Chance seldom finds these. cow-fault-copies: a store hides what the copied page held before. hole-keeps-copies: the hole
# must be punched through another mapping of the file than the one with the copy. stack-keeps-gap: a stack must have lost
# the pages between itself and the mapping below. migrate-respects-pins: the page that moves must be the pinned one.
AROUND = {"cow-fault-copies": ("populate-write", "load"), "hole-keeps-copies": ("populate-write", "remove"),
          "stack-keeps-gap": ("mmap anon", "munmap"), "migrate-respects-pins": ("pin", "to device")}


def found_out(checker: Checker, rule: str) -> None:
    checker.without = [rule]
    try:
        difference = checker.find_difference(3000, SEED, AROUND.get(rule))
    finally:
        checker.without = []
    assert difference is not None, f"nothing notices that {rule} is missing"
    assert difference.script.statements <= 5, difference.script.text


@pytest.mark.parametrize("rule", HOST_RULES)
def test_broken_reference(host, rule):
    found_out(host, rule)


@pytest.mark.parametrize("rule", DIRECT_RULES)
def test_broken_direct_io(host, rule):
    if "direct-read" not in host.kinds:
        pytest.skip("no file system with O_DIRECT")
    found_out(host, rule)


@pytest.mark.parametrize("rule", UFFD_RULES)
def test_broken_userfaults(host, rule):
    if "uffd-copy" not in host.kinds:
        pytest.skip("no userfaultfd for faults of the kernel")
    found_out(host, rule)


@pytest.mark.parametrize("rule", PIN_RULES)
def test_broken_pinned_reference(pinned, rule):
    found_out(pinned, rule)


@pytest.mark.parametrize("rule", DEVICE_RULES)
def test_broken_device_reference(lab, rule):
    found_out(lab, rule)


# --- the command ---


def run(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(RUN + list(words), capture_output=True, text=True, cwd=ROOT)


def journal_of(output: str) -> list[dict]:
    path = re.search(r"^journal: (.*)$", output, re.MULTILINE).group(1)
    return [json.loads(line) for line in (ROOT / path).read_text().splitlines()]


def test_command_agrees():
    result = run("-t", "host", "--programs", "20", "--seed", str(SEED))
    assert result.returncode == 0, result.stdout + result.stderr
    records = journal_of(result.stdout)
    assert sum(record.get("how") == "agree" for record in records) >= 20
    pairs = [record for record in records if record["record"] == "pair"]
    assert sum(record["count"] for record in pairs) > 0
    assert records[-1]["record"] == "end"


def test_command_tries_every_pair():
    result = run("-t", "host", "--programs", "1", "--each-pair", "1", "--seed", str(SEED))
    assert result.returncode == 0, result.stdout + result.stderr
    assert re.search(r"^(\d+) of \1 pairs of neighbouring operations were tried", result.stdout, re.MULTILINE)
    assert re.search(r"^(\d+) of them 1 times or more$", result.stdout, re.MULTILINE)


def test_command_shows_a_difference():
    result = run("-t", "host", "--programs", "1000", "--seed", str(random.Random(SEED).randrange(1000)),
                 "--without", "fork-write-protects")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "predicted" in result.stdout and "Again: stress/conformance/run.py -t host" in result.stdout
    record = next(record for record in journal_of(result.stdout) if record["record"] == "difference")
    text = (ROOT / "results" / "runs" / record["file"]).read_text()
    assert faultline.parse(text).name == "conformance"


@pytest.mark.parametrize("words, said", [
    (["-t", "hots"], "did you mean 'host'"),
    (["--programs", "0"], "at least 1"),
    (["--without", "fork-flies"], "unknown rule 'fork-flies'"),
])
def test_command_refuses(words, said):
    result = run(*words)
    assert result.returncode == 2, result.stdout + result.stderr
    assert said in result.stdout + result.stderr


def test_command_teaches():
    result = run("--help")
    assert result.returncode == 0
    assert "--lab-kernel" in result.stdout and "exit status" in result.stdout
