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
    assert table.plan(str(tmp_path))[1] == {}
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


def bug(number, anchor):
    return planted.Mutant(number, f"m{number}", "mm", False, "", [planted.Edit("x.c", "target", anchor, "$0 // $0")])


def test_a_mutant_that_does_not_fit_is_left_out_by_name(tmp_path, capsys):
    (tmp_path / "x.c").write_text(TEXT)
    elsewhere = {2: bug(2, "return 0;").edits}
    table = planted.Bugs([], [bug(1, "if (a)"), bug(2, "gone"), bug(3, "lost")], elsewhere)
    table.apply(str(tmp_path))
    text = (tmp_path / "x.c").read_text()
    assert "if (a) // if (a)" in text and "return 0; // return 0;" in text
    said = capsys.readouterr().err
    assert "1 of 3 mutants" in said and "3 m3" in said and "'lost'" in said and "m2" not in said


def test_a_mutant_is_planted_whole_or_not_at_all(tmp_path):
    (tmp_path / "x.c").write_text(TEXT)
    half = bug(1, "if (a)")
    half = half._replace(edits=half.edits + bug(1, "gone").edits)
    texts, misfits = planted.Bugs([], [half, bug(2, "return 0;")]).plan(str(tmp_path))
    assert list(misfits) == ["1 m1"] and "if (a) //" not in texts["x.c"]


def test_a_source_without_the_switch_is_refused(tmp_path):
    (tmp_path / "x.c").write_text(TEXT)
    with pytest.raises(LabError, match="0 times"):
        planted.Bugs(bug(0, "gone").edits, [bug(1, "if (a)")]).apply(str(tmp_path))
    with pytest.raises(LabError, match="no mutant fits"):
        planted.Bugs([], [bug(1, "gone")]).apply(str(tmp_path))


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
