"""ci/variant.ninja is up to date, and sources that ci/sources.toml forgets or names twice are reported."""

import pathlib
import subprocess

import build_files as subject
import pytest

HERE = pathlib.Path(__file__).resolve().parent
LISTED = {"library": {"l": {"sources": ["l"]}}, "program": {"p": {"sources": ["p/main.cpp"], "uses": ["l"], "libs": "-lm"}},
          "test": {"l_test": {"of": ["l"], "uses": ["l"]}}}


@pytest.fixture
def root(tmp_path):
    for name in ("l/a.cpp", "l/a_test.cpp", "p/main.cpp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_what_is_committed_is_made_of_the_list():
    assert subprocess.run([HERE / "build_files.py", "--check"], capture_output=True, text=True, check=False).stderr == ""


def test_a_new_file_is_in_the_library_of_its_folder(root):
    before = subject.Build(LISTED, root).text()
    (root / "l/b.cpp").touch()
    (root / "l/b_test.cpp").touch()
    after = subject.Build(LISTED, root).text()
    assert "$b/l/b.o" not in before
    assert "build $b/l.a: ar $\n    $b/l/a.o $\n    $b/l/b.o\n" in after
    assert "build $b/l_test: link $\n    $b/l/a_test.o $\n    $b/l/b_test.o $\n    $b/l.a\n" in after


def test_what_is_named_by_itself_is_nowhere_else(root):
    listed = LISTED | {"program": {"p": {"sources": ["l/a.cpp", "p/main.cpp"]}}}
    (root / "l/b.cpp").touch()
    text = subject.Build(listed, root).text()
    assert "build $b/l.a: ar $\n    $b/l/b.o\n" in text
    assert "a_test" not in text  # p has only the source beside this test


def test_what_is_made_comes_before_what_includes_it(root):
    text = subject.Build(LISTED | {"made": {"l/": ["build/l/names.inc"]}}, root).text()
    assert "build $b/l/a.o: cxx l/a.cpp | build/l/names.inc\n" in text
    assert "build $b/p/main.o: cxx p/main.cpp\n" in text


@pytest.mark.parametrize("change, says", [
    ({"library": {"l": {"sources": ["l", "m"]}}}, "l: there is no folder m"),
    ({"program": {"p": {"sources": ["p/other.cpp"]}}}, "p: there is no p/other.cpp"),
    ({"program": {"p": {"sources": ["p/main.cpp"]}, "q": {"sources": ["p/main.cpp"]}}}, "p/main.cpp is named by p and by q"),
    ({"program": {"p": {"sources": ["p/main.cpp"], "uses": ["n"]}}}, "p uses n, which is no library and no source"),
    ({"test": {"l_test": {"of": ["n"], "uses": []}}}, "l_test: there is no library or program n"),
])
def test_what_is_wrong_is_told(root, change, says):
    with pytest.raises(subject.Wrong, match=says):
        subject.Build(LISTED | change, root).text()


def test_what_is_forgotten_is_told(root):
    assert subject.Build(LISTED, root).forgotten() == []
    (root / "p/other.cpp").touch()
    assert subject.Build(LISTED, root).forgotten() == ["p/other.cpp"]
