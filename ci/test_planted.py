"""Tests of the bugs that ci/lab plants, in the kernel and in amdgpu. Nothing is built here."""

import os
import pathlib
import re
import subprocess
import sys
import tarfile

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lab.d"))

import driver_build  # noqa: E402
import driver_mutants  # noqa: E402
import mutants  # noqa: E402
import planted  # noqa: E402
import source as sources  # noqa: E402
from common import LabError  # noqa: E402

TABLES = [pytest.param(mutants.KERNEL, ["mutants"], id="kernel"),
          pytest.param(driver_mutants.DRIVER, ["mutants", "--amdgpu"], id="amdgpu")]


def lab(*words, **more):
    return subprocess.run([HERE / "lab", *words], capture_output=True, text=True, timeout=300, check=False, **more)


@pytest.mark.parametrize("table, words", TABLES)
def test_all_are_listed(table, words):
    text = lab(*words).stdout
    assert all(m.name in text and m.story in text for m in table.mutants)


@pytest.mark.parametrize("table, words", TABLES)
def test_each_fits_the_source(table, words, tmp_path):
    """Without the distribution's kernel source this fails: nothing would be tested."""
    wanted = {e.path for e in table.switch} | {e.path for m in table.mutants for e in m.edits}
    with tarfile.open(sources.find(None).path) as tar:
        for member in tar:
            path = member.name.partition("/")[2]
            if path in wanted:
                wanted.remove(path)
                full = tmp_path / path
                full.parent.mkdir(parents=True, exist_ok=True)
                full.write_bytes(tar.extractfile(member).read())
                os.utime(full, (1, 1))
            if not wanted:
                break
    assert not wanted
    before = {p: p.read_text() for p in tmp_path.rglob("*.c")}
    table.apply(str(tmp_path))
    after = {p: p.read_text() for p in before}
    assert all(after[p].startswith(planted.DECLARATION) for p in before)
    for mutant in table.mutants:
        uses = sum(text.count(f"faultline_mutant == {mutant.number}") +
                   text.count(f"faultline_mutant != {mutant.number}") for text in after.values())
        assert uses >= len(mutant.edits), mutant.name
    planted.revert(str(tmp_path))
    assert {p: p.read_text() for p in tmp_path.rglob("*.c")} == before
    assert all(p.stat().st_mtime == 1 for p in before)  # or make would compile it again
    assert not list(tmp_path.rglob("*" + planted.SAVED))


@pytest.mark.parametrize("table, words", TABLES)
def test_they_are_numbered_and_told_apart(table, words):
    numbers = [m.number for m in table.mutants]
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 12
    assert len({m.name for m in table.mutants}) == len(numbers)
    assert sum(m.race for m in table.mutants) >= 2
    for mutant in table.mutants:
        for edit in mutant.edits:
            used = set(re.findall(r"faultline_mutant [!=]= (\d+)", edit.replacement))
            assert used == {str(mutant.number)}, mutant.name


TEXT = """static int other(int a)
{
\treturn f(a);
}

static int __init target(int a,
\t\t\t int b)
{
\tif (a)
\t\treturn f(a);
\treturn 0;
}

int user(void)
{
\treturn target(1, 2);
}
"""


@pytest.mark.parametrize("function, anchor, message", [
    ("target", "return", "2 times"),
    ("target", "nothing", "0 times"),
    ("missing", "return", "no such function"),
    (None, "return f(a);", "2 times"),
])
def test_an_anchor_that_does_not_fit_is_an_error(function, anchor, message):
    with pytest.raises(LabError, match=message):
        planted.edited(TEXT, planted.Edit("x.c", function, anchor, "$0"))


def test_an_edit_stays_in_its_function():
    changed = planted.edited(TEXT, planted.Edit("x.c", "target", "return f(a);", "if (m)\n\t$0"))
    assert changed.count("if (m)\n\treturn f(a);") == 1
    assert changed.index("if (m)") > changed.index("target")


def test_a_driver_that_is_not_built_is_said(tmp_path):
    said = lab("path", "--amdgpu-mutants", env={**os.environ, "FAULTLINE_CACHE": str(tmp_path)})
    assert said.returncode == 3 and "Build it: ci/lab build --amdgpu-mutants" in said.stderr


def test_its_key_follows_the_bugs(monkeypatch):
    source = sources.find(None)
    before = driver_build.key(source)
    assert driver_build.key(source) == before
    bugs = [driver_mutants.MUTANTS[0]._replace(story="as before, in other words"), *driver_mutants.MUTANTS[1:]]
    monkeypatch.setattr(driver_mutants, "DRIVER", planted.Bugs(driver_mutants.SWITCH, bugs))
    assert driver_build.key(source) == before
    monkeypatch.setattr(driver_mutants, "DRIVER", planted.Bugs(driver_mutants.SWITCH, bugs[1:]))
    assert driver_build.key(source) != before
