"""Reads a file of ci/machines, which says what a kind of machine needs and what to run on it."""

import difflib
import os
import re
import tomllib

# The type of each key's value: a type; a list [type]; {"": type} for a table with any keys; or the keys of a table.
RUN = {"targets": [str], "scenarios": [str], "minutes": int, "quick": int}
KEYS = {
    "about": str,
    "packages": [str],
    "suite": bool,
    "kernel": {"options": [str], "parameters": {"": str}, "command_line": [str], "without": [str]},
    "gpu": {"driver": str, "chip": [str], "svm": [str]},
    "groups": [str],
    "environment": {"": str},
    "run": [RUN],
}
NEEDED = {"": ["about", "run"], "run": ["targets", "scenarios", "minutes", "quick"], "gpu": ["driver"]}
SVM = ["recoverable", "preempt-and-restore"]


class BadMachine(Exception):
    """The file is wrong. The message is printed as it is."""


class Machine:
    """A checked file. What it leaves out is empty."""

    def __init__(self, name, table):
        self.name = name
        self.about = table["about"]
        self.packages = table.get("packages", [])
        self.suite = table.get("suite", False)
        self.kernel = {"options": [], "parameters": {}, "command_line": [], "without": [], **table.get("kernel", {})}
        self.gpu = {"chip": [], "svm": []} | table["gpu"] if "gpu" in table else None
        self.groups = table.get("groups", [])
        self.environment = table.get("environment", {})
        self.runs = table["run"]

    def targets(self):
        return [target for run in self.runs for target in run["targets"]]


class Reader:
    def __init__(self, name, text):
        self.name, self.lines = name, text.splitlines() or [""]
        try:
            self.table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.fail_at(*self.place_of(str(error)), re.sub(r" \(at .*\)$", "", str(error)).lower())

    def place_of(self, message):
        found = re.search(r"at line (\d+), column (\d+)", message)
        return (int(found[1]), int(found[2]), 1) if found else (len(self.lines), len(self.lines[-1]) + 1, 1)

    def fail_at(self, line, column, length, message, help=""):
        text = self.lines[line - 1]
        margin = len(text) - len(text.lstrip())
        caret = re.sub(r"[^\t]", " ", text[margin:column - 1]) + "^" + "~" * (length - 1)
        raise BadMachine(f"{self.name}:{line}:{column}: {message}\n    {text[margin:]}\n    {caret}\n"
                         + (f"  {help}\n" if help else ""))

    def find(self, table, key, index=0):
        """The place of a key; otherwise of its table's heading; otherwise of the file's first line."""
        now, seen, heading = "", -1, (1, 1, 1)
        for number, line in enumerate(self.lines, 1):
            if found := re.match(r"\s*\[\[?\s*([\w.-]+)\s*\]\]?", line):
                now = found[1]
                seen += now == table
                if (now == table or f"{table}.{key}".strip(".") == now) and seen <= index:
                    heading = (number, found.start(1) + 1, len(found[1]))
            elif now == table and (not table or seen == index):
                if found := re.match(rf"\s*(\"?{re.escape(key)}\"?)\s*=", line):
                    return number, found.start(1) + 1, len(found[1])
        return heading

    def fail(self, table, key, index, message, help=""):
        self.fail_at(*self.find(table, key, index), message, help)

    def check(self):
        self.check_table("", self.table, KEYS)
        for i, run in enumerate(self.table["run"]):
            for key in ("targets", "scenarios"):
                if not run[key]:
                    self.fail("run", key, i, f"{key} is empty")
            for key in ("minutes", "quick"):
                if run[key] <= 0:
                    self.fail("run", key, i, f"{key} must be above 0")
            for scenario in run["scenarios"]:
                if not os.path.exists(scenario):
                    self.fail("run", "scenarios", i, f"{scenario} is not there")
            if "gpu" not in self.table and any("{bus}" in target for target in run["targets"]):
                self.fail("run", "targets", i, "{bus} stands for a GPU, and there is no [gpu]")
        for word in self.table.get("gpu", {}).get("svm", []):
            if word not in SVM:
                self.fail("gpu", "svm", 0, f"unknown kind of SVM '{word}'", suggestion(word, SVM))
        return Machine(self.name, self.table)

    def check_table(self, name, table, keys, index=0):
        for key, value in table.items():
            if key not in keys:
                self.fail(name, key, index, f"unknown key '{key}'", suggestion(key, keys))
            kind = keys[key]
            if kind == [RUN]:
                if not (isinstance(value, list) and value and all(isinstance(each, dict) for each in value)):
                    self.fail(name, key, index, "run is a [[run]] for each run")
                for i, each in enumerate(value):
                    self.check_table(key, each, RUN, i)
            elif isinstance(kind, dict) and isinstance(value, dict) and "" not in kind:
                self.check_table(key, value, kind)
            elif not fits(value, kind):
                self.fail(name, key, index, f"{key} must be {words(kind)}")
        for key in NEEDED.get(name, []):
            if key not in table:
                self.fail(name, key, index, f"{name or 'the file'} has no '{key}'")


def fits(value, kind):
    if isinstance(kind, list):
        return isinstance(value, list) and all(fits(each, kind[0]) for each in value)
    if isinstance(kind, dict):
        return isinstance(value, dict) and all(fits(each, kind[""]) for each in value.values())
    return type(value) is kind


def words(kind):
    if isinstance(kind, list):
        return "a list of strings: [\"...\"]"
    if isinstance(kind, dict):
        return "a table of strings: { name = \"...\" }" if "" in kind else "a table"
    return {str: "a string: \"...\"", int: "a number", bool: "true or false"}[kind]


def suggestion(word, known):
    close = difflib.get_close_matches(word, known, 1)
    return f"did you mean '{close[0]}'?" if close else "there are " + ", ".join(known)


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "machines")
        known = [f"ci/machines/{name}" for name in sorted(os.listdir(folder)) if name.endswith(".toml")]
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise BadMachine(f"{path}: {reason}\n  {suggestion(path, known)}\n") from error
    return Reader(path, text).check()
