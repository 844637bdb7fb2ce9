"""No co_await stands where g++ 12 gets it wrong (engine/task.h): behind && or ||, or in a ?:."""

import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
COMMENT = re.compile(r"//[^\n]*")
WRONG = re.compile(r"(?:&&|\|\||\?)[^;{}]*\bco_await\b")


def wrong_in(text):
    """The statements of a source text with such a co_await. A lambda's body is a statement of its own."""
    text = COMMENT.sub("", STRING.sub('""', text))
    text = re.sub(r"\[[^\[\]]*\]\s*(?:\([^()]*\))?\s*\{[^{}]*\}", "lambda", text)
    found = []
    for statement in re.split(r"[;{}]", text):
        # "if (a && b) co_await c" awaits in a statement of its own.
        bare = re.sub(r"\b(?:if|while|for)\s*(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))", "", statement) if "co_await" in statement else ""
        condition = [c for c in re.findall(r"\b(?:if|while)\s*(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\))", statement) if "co_await" in c]
        if WRONG.search(bare) or any(WRONG.search(c) for c in condition):
            found.append(" ".join(statement.split()))
    return found


def test_nothing_is_awaited_there():
    found = {str(p.relative_to(HERE)): wrong_in(p.read_text()) for p in sorted(HERE.rglob("*.cpp"))}
    assert {name: each for name, each in found.items() if each} == {}


def test_what_is_wrong_is_found():
    assert wrong_in("co_return a && co_await b() == 0;")
    assert wrong_in("const bool r = w || (!s && co_await b(1, 2) == 0);")
    assert wrong_in("merge(x, n > 1 ? co_await c.choose(\"vma_merge\", n) : 0);")
    assert wrong_in("if (a && co_await b()) {")
    assert not wrong_in("if (a && b) co_await c(); co_return x ? 1 : 2;")
    assert not wrong_in("const int w = co_await cpu.until(\"a || b\", [&w, c] { return w && c ? 1 : 2; });")
