"""Shared by the parts of the lab: the error class, and the place of the cache."""

import ctypes
import os
import signal
import sys

BAD_INPUT = 2  # usage or input
UNDECIDED = 3  # something that was asked for does not exist
BROKEN = 4  # the lab itself failed

PR_SET_PDEATHSIG = 1

HERE = os.path.dirname(os.path.abspath(__file__))


class LabError(Exception):
    """Ends the command with a message that says what to do."""

    def __init__(self, message, status=BROKEN):
        super().__init__(message)
        self.status = status


def note(message):
    print("lab: " + message, file=sys.stderr, flush=True)


def die_with_parent():
    """For Popen's preexec_fn: the child is killed when this process ends for any reason."""
    parent = os.getpid()

    def prepare():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    return prepare


def cache_root(part="lab"):
    """${FAULTLINE_CACHE:-${XDG_CACHE_HOME:-~/.cache}/faultline}/lab, or another part of the cache."""
    root = os.environ.get("FAULTLINE_CACHE")
    if not root:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        root = os.path.join(home, "faultline")
    return os.path.join(os.path.abspath(root), part)
