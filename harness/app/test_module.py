"""The Python module: values, errors, and runs on a persistent or a dying machine."""

import os
import pathlib
import signal
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(os.environ.get("FAULTLINE_BUILD", ROOT / "build")) / "python"))

import faultline  # noqa: E402

FAKE = f"/usr/bin/python3 {ROOT}/harness/run/fake_agent.py"
ONE = """scenario one
process P
  a: 1 pages anon rw = 7
  r0 = load a[0]
always P:r0 = 7
"""


@pytest.fixture
def fake(monkeypatch):
    def use(words=""):
        monkeypatch.setenv("FAULTLINE_AGENT", FAKE + " " + words)
        monkeypatch.setenv("FAULTLINE_LAB", FAKE + " " + words)
    use()
    return use


def test_parse():
    program = faultline.parse(ONE)
    assert program.name == "one"
    assert program.schema() == ["P:r0"]
    assert program.threads == {"P": ["r0 = load a[0]"]}
    assert faultline.parse(program.print()) == program
    assert repr(program) == "<faultline.Program one>"


def test_parse_error():
    with pytest.raises(faultline.ParseError) as caught:
        faultline.parse("scenario bad\nprocess P\n  laod a[0]\n", "bad.scn")
    error = caught.value
    assert (error.file, error.line, error.column) == ("bad.scn", 3, 3)
    assert error.message == "unknown word 'laod'"
    assert error.suggestion == "did you mean 'load'?"
    assert isinstance(error, ValueError)


def test_predict_and_judge():
    allowed = faultline.predict(ONE)
    assert allowed.complete and len(allowed) == 1
    assert allowed.outcomes == [{"P:r0": "7"}]
    assert allowed.claims == [{"claim": "always P:r0 = 7", "state": "holds", "counterexample": None}]
    assert faultline.judge(ONE, allowed, [{"P:r0": "7"}]) == "agree"
    assert faultline.judge(ONE, allowed, [{"P:r0": "alien"}]) == "forbidden"
    assert faultline.judge(ONE, allowed, []) == "inconclusive"
    with pytest.raises(ValueError):
        faultline.judge(ONE, allowed, [{"P:r1": "7"}])
    with pytest.raises(ValueError):
        faultline.predict(ONE, device_class="magic")


def test_a_wait_without_an_end_is_refused():
    """The parser reports it if the text is enough; otherwise the prediction does."""
    endless = "scenario e\nprocess P\n  a: 1 page anon rw = 7\nthread P.t\n  fork C\n  wait C\n"
    with pytest.raises(faultline.ParseError, match="waits for ever: nothing ends 'C'") as caught:
        faultline.parse(endless + "process C\n  load a[0]\n")
    assert (caught.value.line, caught.value.column) == (6, 8)
    crossed = faultline.parse("\n" + endless + "  barrier x\nprocess C\n  barrier x\n  exit\n")
    with pytest.raises(faultline.ParseError, match="may wait for ever: 'C' is at 'barrier x'") as caught:
        faultline.predict(crossed)
    assert crossed.print().splitlines()[caught.value.line - 1].strip() == "wait C"
    assert faultline.predict(crossed, without=["wait-waits"]).findings == []


def test_run_on_a_machine_that_stays(fake):
    with faultline.Machine() as machine:
        assert machine.hello["kernel"] == "6.1.99 #1 SMP"
        host = machine.hello["targets"]["host"]
        assert host["device_class"] == "shares-cpu-tables" and host["forked"] and not host["migrate"]
        assert host["usm_device"] == {"access": False, "atomics": False, "concurrent": False, "concurrent_atomics": False}
        allowed = faultline.predict(ONE, device_class="shares-cpu-tables")
        began = time.monotonic()
        for seed in range(200):
            result = faultline.run(ONE, iterations=1, seed=seed, machine=machine, allowed=allowed)
            assert result["verdict"] == "agree" and result["iterations"] == 1
        assert time.monotonic() - began < 10
        assert machine.started == 1


def test_forbidden(fake):
    fake("--fault one=forbidden")
    result = faultline.run(faultline.parse(ONE))
    assert result["verdict"] == "forbidden"
    assert result["not_allowed"] == [{"P:r0": "alien"}]


def test_a_machine_that_dies_is_replaced(fake, tmp_path):
    fake(f"--fault one=splat --once {tmp_path}/once")
    with faultline.Machine("lab") as machine:
        result = faultline.run(ONE, target="lab:dmirror", machine=machine)
        assert result["verdict"] == "health"
        assert result["lost"] == "its process ended: exit status 1"
        assert result["words"][-1].endswith("last word")
        assert faultline.run(ONE, target="lab:dmirror", machine=machine)["verdict"] == "agree"
        assert machine.started == 2


def test_a_driver_that_crashes(fake):
    fake("--fault one=crash")
    result = faultline.run(ONE)
    assert result["verdict"] == "health" and "took SIGSEGV at address 0x10 in clEnqueueSVMMemcpy" in result["crash"]
    fake("--crashed-opencl crash")
    assert faultline.run(ONE, target="opencl:pocl")["crash"] == "crash"


def test_what_cannot_run(fake, monkeypatch):
    fake("--targets host")
    with pytest.raises(RuntimeError, match="the target dmirror is not here: no /dev/hmm_dmirror0"):
        faultline.run(ONE, target="dmirror")
    with pytest.raises(ValueError, match="unknown target 'hots'; did you mean 'host'"):
        faultline.run(ONE, target="hots")
    monkeypatch.setenv("FAULTLINE_AGENT", "false")
    with pytest.raises(RuntimeError, match="the machine does not start: its process ended: exit status 1"):
        faultline.run(ONE)


def test_the_gil_is_released_and_ctrl_c_works(fake):
    fake("--fault one=endless")
    ticks = []

    def interrupt():
        for _ in range(5):
            time.sleep(0.1)
            ticks.append(1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        faultline.run(ONE, iterations=10)
    thread.join()
    assert len(ticks) == 5


def test_the_real_agent():
    result = faultline.run(ONE, iterations=50)
    assert result["verdict"] == "agree", result
    assert result["iterations"] == 50
