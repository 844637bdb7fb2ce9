"""ci/lint finds bugs and wrong layout, and checks a source again when a header that it includes has changed."""

import importlib.machinery
import importlib.util
import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).resolve().parent
loader = importlib.machinery.SourceFileLoader("lint", str(HERE / "lint"))
subject = importlib.util.module_from_spec(importlib.util.spec_from_loader("lint", loader))
loader.exec_module(subject)

# bugprone-use-after-move
MOVED = "#include <string>\nstd::string f(std::string a) {\n  std::string b = std::move(a);\n  return b + a;\n}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one source and one header, with the settings of this project."""
    for name in (".clang-format", ".clang-tidy"):
        shutil.copy(subject.ROOT / name, tmp_path)
    (tmp_path / "x.cpp").write_text('#include "x.h"\n')
    (tmp_path / "x.h").write_text("int f();\n")
    monkeypatch.setattr(subject, "ROOT", tmp_path)
    return tmp_path


def test_a_bug_is_found_and_what_is_clean_is_kept(project):
    kept = project / "kept"
    assert subject.tidy("x.cpp", ["-std=c++20", "-I."], kept) == "" and kept.exists()
    kept.unlink()
    (project / "x.cpp").write_text(MOVED)
    assert "x.cpp:4:14: error: 'a' used after it was moved" in subject.tidy("x.cpp", ["-std=c++20"], kept)
    assert not kept.exists()


def test_a_key_is_of_all_that_a_source_is_made_of(project):
    def key(words=(), version="19"):
        return subject.key("x.cpp", list(words), version)
    first = key()
    assert key() == first and key(["-O2"]) != first and key(version="20") != first
    (project / "x.h").write_text("int g();\n")
    assert key() != first


def test_a_misplaced_line_is_told_and_laid_out(project):
    (project / "x.cpp").write_text("int  f( );\n")
    assert "x.cpp:1:4: error: code should be clang-formatted" in subject.misplaced(["x.cpp"], False)
    assert subject.misplaced(["x.cpp"], True) == ""
    assert (project / "x.cpp").read_text() == "int f();\n"


def test_flags_are_those_of_the_build():
    words = "g++ -MMD -MF x.o.d -std=c++20 -O2 -fcoroutines -Wall --param ggc-min-heapsize=4 -I. -I$(echo 'a b') -c x.cpp -o x.o"
    database = [{"file": "x.cpp", "output": "build/x.o", "command": words},
                {"file": "x.cpp", "output": "build/asan/x.o", "command": words.replace("-O2", "-O2 -fsanitize=address")}]
    assert subject.flags(database) == {"x.cpp": ["-std=c++20", "-O2", "-I.", "-Ia", "b"]}
