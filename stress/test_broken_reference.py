"""Dropping any rule of the reference is noticed, or SURVIVORS has the reason why not."""

import broken_reference as subject
import faultline


def scenarios():
    return [(p, p.read_text()) for p in sorted((subject.ROOT / "stress/scenarios").rglob("*.scn"))]


def test_every_rule_is_noticed_or_explained():
    texts = scenarios()
    silent = {rule for rule in faultline.rules() if not subject.noticed(rule, texts, {})}
    assert silent == set(subject.SURVIVORS)


def test_a_healthy_reference_is_not_noticed():
    for path, text in scenarios():
        allowed = faultline.predict(faultline.parse(text, str(path)))
        assert allowed.complete and not allowed.findings, path
        assert all(claim["state"] == "holds" for claim in allowed.claims), path


def test_a_healthy_run_refutes_a_broken_reference(tmp_path):
    text = "scenario t\n  \"t\"\nprocess P\n  a: 1 page anon rw = 5\nthread P.t\n  madvise a dontneed\n  r0 = load a[0]\n"
    program = faultline.parse(text)
    broken = faultline.predict(program, device_class="shares-cpu-tables", without=["dontneed-zaps"])
    outcome = {"P.t:#1": "ok", "P.t:r0": "zero"}
    assert faultline.judge(program, broken, [outcome]) == "forbidden"
    assert faultline.judge(program, faultline.predict(program, device_class="shares-cpu-tables"), [outcome]) == "agree"
