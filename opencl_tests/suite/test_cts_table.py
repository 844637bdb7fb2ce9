"""All tests in the table of OpenCL-CTS checks exist, and every test of the suite is in the table."""

import ast
import pathlib
import re

SUITE = pathlib.Path(__file__).parent
TABLE = SUITE.parent / "cts.md"
# Tests of the suite itself, not of a driver.
OWN = {"test_cts_table.py", "test_isolation.py"}


def in_suite():
    found = set()
    for file in SUITE.glob("test_*.py"):
        if file.name not in OWN:
            names = [node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
            found |= {f"{file.name}::{name}" for name in names if name.startswith("test_")}
    return found


def named(text):
    """The tests in a table. In a cell, a file before :: is also the file of the names after it."""
    found, file = [], None
    for line in text.splitlines():
        if line.startswith("|"):
            for word in re.findall(r"`([^`]+)`", line):
                head, _, name = word.rpartition("::")
                file = head or file
                if name.startswith("test_") and "." not in name:
                    found.append(f"{file}::{name}")
    return found


def test_every_counterpart_exists():
    assert [name for name in named(TABLE.read_text()) if name not in in_suite()] == []


def test_every_test_is_in_the_table():
    assert in_suite() - set(named(TABLE.read_text())) == set()


def test_a_missing_test_would_be_noticed():
    assert named("| `check` | `test_x.py::test_a`, `test_b` | coarse |") == ["test_x.py::test_a", "test_x.py::test_b"]
