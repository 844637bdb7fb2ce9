"""The reference answers as it did, scenario by scenario and class by class."""

import predictions as subject


def test_answers_are_those_that_are_pinned():
    found = subject.changes(subject.PINNED.read_text().splitlines(), subject.lines())
    assert not found, "\n".join(found) + "\nIf that is right: kernels_ref/predictions.py --write"


def test_a_rule_that_is_dropped_is_seen(tmp_path):
    (tmp_path / "t.scn").write_text('scenario t\n  "t"\nprocess P\n  a: 1 page anon rw = 5\nthread P.t\n'
                                    "  madvise a dontneed\n  r0 = load a[0]\n")
    healthy = subject.lines(tmp_path)
    assert subject.changes(healthy, subject.lines(tmp_path)) == []
    predict = subject.faultline.predict
    subject.faultline.predict = lambda program, **words: predict(program, without=["dontneed-zaps"], **words)
    try:
        broken = subject.lines(tmp_path)
    finally:
        subject.faultline.predict = predict
    assert len(subject.changes(healthy, broken)) == len(healthy) + len(broken)
