"""Runs a long command, writes its output to a log, and shows its progress on one line."""

import os
import re
import signal
import subprocess
import sys
import time

from common import LabError, die_with_parent

PLAIN_EVERY_S = 15
TTY_EVERY_S = 0.2
OBJECT = re.compile(rb"^\s+(CC|AS|AR|LD|HOSTCC)\s+(\S+)")
FAILURE = re.compile(rb"error:|Error \d|No space left|undefined reference|No such file|"
                     rb": not found|^E: |^Err:\d", re.I)
SHOWN_ERRORS = 6


class Meter:
    """Shows the number of steps and the elapsed time on stderr: one line that is rewritten on
    a terminal; a new line now and then elsewhere. A line of output that matches `step` is a
    step; the last group that matched is its name."""

    def __init__(self, step, words):
        self.step = step
        self.words = words
        self.steps = 0
        self.started = self.shown = time.monotonic()
        self.tty = sys.stderr.isatty()
        self.dirty = False

    def look(self, line):
        """Counts the line if it is a step. False if it is not."""
        found = self.step.match(line)
        if found:
            self.tick(found.group(found.lastindex).decode(errors="replace"))
        return bool(found)

    def tick(self, what):
        self.steps += 1
        now = time.monotonic()
        if now - self.shown < (TTY_EVERY_S if self.tty else PLAIN_EVERY_S):
            return
        self.shown = now
        line = f"lab: {self.steps} {self.words}, {now - self.started:.0f} s"
        if self.tty:
            line = "\r\x1b[K" + line + "  " + what[:50]
        self.dirty = self.tty
        print(line, end="" if self.tty else "\n", file=sys.stderr, flush=True)

    def done(self):
        if self.dirty:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def run_make(command, env, log_path):
    run_logged(command, env, log_path, Meter(OBJECT, "objects built"), explain)


def run_logged(command, env, log_path, meter, explained):
    """Runs a command and appends all its output to the log. If it fails, raises LabError with
    the text that `explained` gives for the command, its status and the first errors. If this
    process is interrupted, the command and its children are terminated."""
    errors = []
    with open(log_path, "ab") as log:
        log.write(b"$ " + " ".join(command).encode() + b"\n")
        log.flush()
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, preexec_fn=die_with_parent())
        try:
            for line in process.stdout:
                log.write(line)
                if not meter.look(line) and FAILURE.search(line) and len(errors) < SHOWN_ERRORS:
                    errors.append(line.decode(errors="replace").rstrip())
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        finally:
            meter.done()
    if status:
        raise LabError(explained(command, status, errors))


def explain(command, status, errors):
    if any("No space left" in e for e in errors):
        return ("the disk is full. Free some space, or point FAULTLINE_CACHE to a larger disk, "
                "and run it again: it goes on where it stopped")
    shown = "".join("\n  | " + e for e in errors)
    return (f"`{command[0]} {command[-1]}` failed with status {status}{shown}\n"
            "the whole log is failed.log in the work folder of the cache")
