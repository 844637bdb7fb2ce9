"""Runs each test of a driver in a fresh process, which is forked before any driver is loaded. So a crash or a hang ends
just this test, as its failure."""

import faulthandler
import json
import os
import re
import select
import signal
import sys
import tempfile
import time

from _pytest.reports import TestReport
from _pytest.runner import call_and_report


def run(item, deadline):
    """Runs the test's phases in a child and logs the child's reports. Adds a failure if the child did not end well."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    assert "faultline_opencl" not in sys.modules, "a driver may be in use in the process that forks the tests"
    item.session._setupstate.teardown_exact(item)  # tear down tests that ran in this process
    sys.stdout.flush()
    sys.stderr.flush()
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as stacks:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            in_child(item, write, stacks, deadline)
        os.close(write)
        text, ended = collect(child, read, deadline)
        stacks.seek(0)
        stack = stacks.read()
    reports = [item.config.hook.pytest_report_from_serializable(config=item.config, data=json.loads(line))
               for line in text.decode().splitlines() if line.endswith("}")]
    for report in reports:
        if isinstance(report.longrepr, list):  # a skip's place and reason; JSON has made the tuple a list
            report.longrepr = tuple(report.longrepr)
    if ended:
        # The report of the last phase was lost with the process: that phase failed.
        phase = ("setup", "call", "teardown")[min(len(reports), 2)]
        words = ended + (f"\n{stack}" if stack else "")
        report = TestReport(item.nodeid, item.location, {}, "failed", words, phase, duration=time.monotonic() - began,
                            sections=[("Captured stderr call", captured(item))])
        bug = getattr(item, "known_bug", None)
        if bug and bug.crash and re.search(bug.crash, ended):
            report.outcome, report.wasxfail = "skipped", f"{bug.what} (opencl_tests/bugs/{bug.reproducer})"
        reports.append(report)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def in_child(item, write, stacks, deadline):
    """Never returns. Sends each report before the next phase begins."""
    status = 1
    try:
        os.setsid()
        faulthandler.enable(file=stacks)
        faulthandler.dump_traceback_later(deadline, file=stacks)

        def phase(when, **more):
            report = call_and_report(item, when, log=False, **more)
            data = item.config.hook.pytest_report_to_serializable(config=item.config, report=report)
            os.write(write, (json.dumps(data, default=repr) + "\n").encode())
            return report

        item._initrequest()
        if phase("setup").passed:
            phase("call")
        phase("teardown", nextitem=None)
        status = 0
    finally:
        os._exit(status)


def collect(child, read, deadline):
    """Returns what the child wrote, and how it ended unless it ended well."""
    text = b""
    until = time.monotonic() + deadline + 1  # after the child has dumped its stacks
    ended = ""
    while True:
        left = until - time.monotonic()
        ready = select.select([read], [], [], max(left, 0))[0]
        if not ready:
            ended = f"the test did not end within {deadline:g} s; where it was:"
            break
        some = os.read(read, 65536)
        if not some:
            break
        text += some
    os.close(read)
    if ended:
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    try:
        os.killpg(child, signal.SIGKILL)  # processes that it has started
    except ProcessLookupError:
        pass
    if not ended and os.WIFSIGNALED(status):
        ended = f"the process of the test was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    elif not ended and os.WEXITSTATUS(status):
        ended = f"the process of the test ended with exit status {os.WEXITSTATUS(status)}"
    return text, ended


def captured(item):
    manager = item.config.pluginmanager.getplugin("capturemanager")
    return "".join(manager.read_global_capture()) if manager and manager.is_globally_capturing() else ""
