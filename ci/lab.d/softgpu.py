"""The software GPU beside a guest: the program build/softgpu, started before QEMU and stopped after it.

It makes its own firmware, which the guest gets as /lib/firmware/amdgpu. Its log is kept beside the guest's console.
"""

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

from common import BAD_INPUT, LabError, die_with_parent

STARTS_WITHIN = 60  # seconds; it takes milliseconds where the machine is not starved
ENDS_WITHIN = 5  # seconds, after QEMU
WORDS_KEPT = 4096  # bytes of what it says at its end
OURS = ("--socket", "--log", "--firmware")


def words_of(text):
    """The options that somebody gives it. Those that the lab gives itself are refused."""
    try:
        words = shlex.split(text)
    except ValueError as e:
        raise LabError(f"--softgpu-options {text}: {e}", BAD_INPUT) from e
    for word in words:
        if word in OURS:
            raise LabError(f"--softgpu-options {text}: the lab itself gives {word}", BAD_INPUT)
    return words


class SoftGpu:
    """`with SoftGpu(program, words, log) as gpu:` gpu.socket and gpu.firmware are for vm.run(), and gpu itself is what
    the machine needs beside it."""

    def __init__(self, program, words, log):
        self.program = shutil.which(program)
        if not self.program:
            raise LabError(f"--softgpu {program}: there is no such program. Build it: ninja build/softgpu", BAD_INPUT)
        self.words, self.log = words, log
        self.process = self.ending = None

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="faultline-softgpu-")
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def start(self):
        self.socket = os.path.join(self.folder, "socket")
        self.firmware = os.path.join(self.folder, "firmware")
        blobs = os.path.join(self.firmware, "amdgpu")
        os.makedirs(blobs)
        made = subprocess.run([self.program, "--firmware", blobs], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
        if made.returncode:
            raise LabError(f"{self.program} makes no firmware: {made.stderr.strip()}", BAD_INPUT)
        with open(self.errors(), "wb") as errors:
            self.process = subprocess.Popen([self.program, "--socket", self.socket, "--log", self.log, *self.words],
                                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                                            preexec_fn=die_with_parent())
        self.ending = os.pidfd_open(self.process.pid)
        until = time.monotonic() + STARTS_WITHIN
        while not os.path.exists(self.socket):
            if self.process.poll() is not None:
                raise LabError(f"the software GPU does not start: {self.said()}", BAD_INPUT)
            if time.monotonic() > until:
                raise LabError(f"the software GPU did not listen within {STARTS_WITHIN} s")
            time.sleep(0.01)
        return self

    def errors(self):
        return os.path.join(self.folder, "errors")

    def said(self):
        """The end of its stderr, on one line."""
        with open(self.errors(), "rb") as f:
            text = f.read()[-WORDS_KEPT:].decode(errors="replace")
        return " / ".join(filter(None, map(str.strip, text.splitlines()))) or "it said nothing"

    def fileno(self):
        """Readable once it has ended."""
        return self.ending

    def last_words(self):
        """How it ended, or "" for the good end: with QEMU, with status 0."""
        try:
            status = self.process.wait(timeout=ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            return ""
        if not status:
            return ""
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"
        return f"{how}: {self.said()} (its log: {self.log})"

    def __exit__(self, *_):
        if self.process:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.wait()
        if self.ending:
            os.close(self.ending)
        shutil.rmtree(self.folder, ignore_errors=True)
