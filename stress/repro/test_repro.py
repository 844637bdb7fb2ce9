"""Reproducers: each compiles, tells no bug on a healthy kernel, and shows a planted one."""

import collections
import concurrent.futures
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FAULTLINE = ROOT / "build/faultline"
SCENARIOS = sorted((ROOT / "stress/scenarios").rglob("*.scn"))
CC = ["cc", "-O2", "-pthread", "-Wall", "-Wextra", "-Werror"]

# How many scenarios are refused on the machine of their device class, by reason. A new refusal is noticed here.
GIVEN = 176
REFUSED = {
    "a program in C cannot drive a device of class fatal-faults": 26,
    "a program in C cannot drive a device of class unmap-and-retry": 10,
    "a program in C cannot drive a device of class fault-and-migrate": 10,
    "a program in C cannot drive a device of class preempt-and-restore": 6,
    "a reproducer on test_hmm has either pins or an open and a close": 1,
}
# Those that show a bug which many healthy kernels have (harness/run/known_bugs.cpp): their threads may sleep for ever.
SHOWS_A_KNOWN_BUG = {"uffd/unregister-held": "lost-userfault-wake"}


def make(scenario, *words, output="-"):
    return subprocess.run([FAULTLINE, "repro", scenario, "-o", output, *words], capture_output=True, text=True, timeout=400)


def compiled(folder, name, text, *words):
    code = folder / f"{name}.c"
    code.write_text(text)
    subprocess.run([*CC, *words, code, "-o", folder / name], check=True)
    return folder / name


def run(program, *words):
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def made():
    """(scenario, machine) -> what 'faultline repro' answered; "own" is the machine of the scenario's device class."""
    asked = {(path.relative_to(ROOT / "stress/scenarios").as_posix(), machine): [path, *words]
             for machine, words in (("own", []), ("host", ["-t", "host"])) for path in SCENARIOS}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(asked, pool.map(lambda words: make(*words), asked.values())))


def reason(answer):
    """The first error, without its place."""
    line = next(line for line in answer.stderr.splitlines() if "left out:" not in line)
    return line.split(": ")[-1].removeprefix("a reproducer in C cannot have this: ")


def test_each_scenario_gives_a_file_or_a_refusal(made):
    assert {answer.returncode for answer in made.values()} == {0, 2}
    for (name, _), answer in made.items():
        assert (answer.returncode == 0) == bool(answer.stdout), name
    own = [answer for (_, machine), answer in made.items() if machine == "own"]
    assert collections.Counter(reason(answer) for answer in own if answer.returncode) == REFUSED
    assert sum(answer.returncode == 0 for answer in own) == GIVEN


def test_each_file_compiles_without_a_warning_and_is_quiet_on_a_healthy_kernel(made, tmp_path):
    names = {answer.stdout: f"{machine}-{name}" for (name, machine), answer in made.items() if answer.returncode == 0}

    def tried(text):
        program = compiled(tmp_path, names[text].removesuffix(".scn").replace("/", "-"), text)
        known = names[text].partition("-")[2].removesuffix(".scn") in SHOWS_A_KNOWN_BUG
        return run(program, 0 if known else 100, 5)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        done = dict(zip(names.values(), pool.map(tried, names)))
    lacking = {name: each.stderr for name, each in done.items() if each.returncode == 2}
    assert {name: each for name, each in done.items() if each.returncode not in (0, 2)} == {}
    assert all(lacking.values()), "it says what this machine lacks"
    without_needs = [name for text, name in names.items()
                     if not any(need in text for need in ("hmm_dmirror", "io_uring", "O_DIRECT", "pagemap", "errx(2"))]
    assert len(without_needs) > 40 and not set(without_needs) & set(lacking)


SIMPLE = """scenario simple
  "A child has what its parent stored before the fork."
process P
  a: 1 page anon rw = 0
  store a[0] 1
  fork C
  store a[0] 2
process C
  r0 = load a[0]
observe P:a[0]
"""


@pytest.fixture
def simple(tmp_path):
    path = tmp_path / "simple.scn"
    path.write_text(SIMPLE)
    return path


@pytest.mark.parametrize("outcome, shows", [
    ("C:r0 = 1", True), ("P:a[0] = 2 and C:r0 != 2", True), ("not C:r0 = 0", True),
    ("C:r0 = 2", False), ("C:r0 = zero or C:r0 = alien", False), ("P:a[0] = 1", False)])
def test_what_a_healthy_kernel_shows_is_seen(simple, tmp_path, outcome, shows):
    answer = make(simple, "--outcome", outcome)
    assert answer.returncode == 0, answer.stderr
    assert ("the reference allows this outcome" in answer.stderr) == shows
    assert ("A healthy kernel may show it." in answer.stdout) == shows
    done = run(compiled(tmp_path, "simple", answer.stdout), 20)
    assert done.returncode == shows, done
    assert done.stdout.startswith("iteration 0: " if shows else "20 iterations: the bug did not show.")


def test_a_fault_waits_for_userfaultfd(tmp_path):
    """A load that waited has the copied value, and never zeroes."""
    scenario = ROOT / "stress/scenarios/uffd/missing-load.scn"
    waited, not_waited = (run(compiled(tmp_path, name, make(scenario, "--outcome", f"P:r0 = {value}").stdout), 100)
                          for name, value in (("waited", 5), ("not", "zero")))
    if waited.returncode == 2:
        pytest.skip(f"no right to it here: {waited.stderr}")
    assert (waited.returncode, not_waited.returncode) == (1, 0), (waited, not_waited)


def test_a_stale_page_is_alien(simple, tmp_path):
    """The page of the iteration before is no value of this one: here the C file itself is made to forget which one it is."""
    text = make(simple, "--outcome", "C:r0 = alien").stdout
    assert run(compiled(tmp_path, "right", text), 20).returncode == 0
    broken = text.replace("\ts->C_r0 = load(mem_a);", "\ts->iteration++;\n\ts->C_r0 = load(mem_a);")
    assert broken != text
    done = run(compiled(tmp_path, "wrong", broken), 20)
    assert done.returncode == 1 and "C:r0=alien" in done.stdout


def test_a_process_that_dies_unasked_is_no_bug(simple, tmp_path):
    text = make(simple, "--outcome", "C:r0 = 2").stdout.replace("alarm(60)", "alarm(1)")
    broken = text.replace("\ts->C_r0 = load(mem_a);", "\ts->C_r0 = load(mem_a);\n\t_exit(7);")
    assert broken != text
    assert run(compiled(tmp_path, "dies", broken), 20).returncode == 3


@pytest.mark.parametrize("words, message", [
    ([], "has no claim 'never' or 'always' to look for on this device: give --outcome CONDITION"),
    (["--outcome", "C:r1 = 1"], "'C' has no result 'r1'"),
    (["--outcome", "C:r0 = unknown"], "cannot tell a statement that was not reached"),
    (["-t", "amdgpu"], "amdgpu not in"),
])
def test_bad_input_is_explained(simple, words, message):
    answer = make(simple, *words)
    assert answer.returncode == 2 and message in answer.stderr and not answer.stdout


def test_a_refusal_points_at_the_statement():
    answer = make(ROOT / "stress/scenarios/migration/there-and-back.scn", "-t", "host")
    assert answer.returncode == 2
    where, line, caret = answer.stderr.splitlines()[:3]
    assert "there-and-back.scn:" in where and "cannot do it" in where
    assert line[caret.index("^"):].startswith("migrate") and caret.count("^") + caret.count("~") == len("migrate")


def test_a_file_of_somebody_else_stays(simple, tmp_path):
    outcome = ["--outcome", "C:r0 = 2"]
    path = tmp_path / "repro.c"
    path.write_text("int main;\n")
    answer = make(simple, *outcome, output=path)
    assert answer.returncode == 2 and "--force replaces it" in answer.stderr and path.read_text() == "int main;\n"
    assert make(simple, *outcome, "--force", output=path).returncode == 0
    assert "The bug shows." in path.read_text()
    assert make(simple, *outcome, output=path).returncode == 0, "its own file is replaced"
    assert make(simple, *outcome, output=tmp_path / "none/x.c").returncode == 2


EXAMPLE = HERE / "examples/fork-device-store-order.c"


def test_the_example_is_what_its_command_makes():
    words = next(line for line in (HERE / "examples/README.md").read_text().splitlines() if "faultline repro" in line)
    seen_on = words.split('"')[1]
    assert make(ROOT / "stress/scenarios/fork/device-store-order.scn", "--seen-on", seen_on).stdout == EXAMPLE.read_text()


# Planted bugs of ci/lab mutants, and scenarios with a claim about values that they break.
PLANTED = {17: "fork/device-write-after", 18: "fork/device-store-order", 22: "mapping/protect-none",
           26: "mapping/dontneed-device-load"}


@pytest.fixture(scope="module")
def planted(made, tmp_path_factory):
    lab = ROOT / "ci/lab"
    built = subprocess.run([lab, "path", "--mutants"], capture_output=True, text=True)
    if built.returncode or not shutil.which("qemu-system-x86_64"):
        pytest.skip("no kernel with planted bugs: ci/lab build --mutants")
    folder = tmp_path_factory.mktemp("lab")
    programs = {name: compiled(folder, name.replace("/", "-"), made[name + ".scn", "own"].stdout, "-static")
                for name in PLANTED.values()}

    def boot(mutant, names):
        script = folder / "all.sh"
        script.write_text("".join(f"/{programs[name].name} 100 30; echo {name} exits $?\n" for name in names))
        files = [word for name in names for word in ("--file", programs[name])]
        words = ["--mutants", "--append", f"faultline_mutant={mutant}", "--console", folder / "console", "--file", script]
        done = subprocess.run([lab, "exec", *words, *files, "--", "sh", "/all.sh"], capture_output=True, text=True, timeout=550)
        assert done.returncode == 0, done
        return done.stdout
    return boot


def test_a_healthy_kernel_shows_none_of_them(planted):
    text = planted(0, PLANTED.values())
    assert [line for line in text.splitlines() if " exits " in line] == [f"{name} exits 0" for name in PLANTED.values()], text


@pytest.mark.parametrize("mutant", PLANTED)
def test_a_planted_bug_shows(planted, mutant):
    text = planted(mutant, [PLANTED[mutant]])
    assert f"The bug shows.\n{PLANTED[mutant]} exits 1\n" in text, text
