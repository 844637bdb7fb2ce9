"""The software GPU beside a guest: the program build/softgpu, started before QEMU and stopped after it.

It makes its own firmware, which the guest gets as /lib/firmware/amdgpu. Its log is kept beside the guest's console.
"""

import os
import shutil
import subprocess
import tempfile
import time

from common import BAD_INPUT, LabError

STARTS_WITHIN = 60  # seconds; it takes milliseconds where the machine is not starved


class SoftGpu:
    """`with SoftGpu(program, words, log) as gpu:` gpu.socket and gpu.firmware are for vm.run()."""

    def __init__(self, program, words, log):
        self.program = shutil.which(program)
        if not self.program:
            raise LabError(f"--softgpu {program}: there is no such program. Build it: ninja build/softgpu", BAD_INPUT)
        self.words, self.log = words, log
        self.process = None

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
        self.process = subprocess.Popen([self.program, "--socket", self.socket, "--log", self.log, *self.words],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + STARTS_WITHIN
        while not os.path.exists(self.socket):
            if self.process.poll() is not None:
                raise LabError(f"the software GPU does not start: {self.process.stderr.read().strip()}", BAD_INPUT)
            if time.monotonic() > until:
                raise LabError(f"the software GPU did not listen within {STARTS_WITHIN} s")
            time.sleep(0.01)
        return self

    def last_words(self):
        """Why it ended by itself, or None. It ends with QEMU, with status 0."""
        try:
            status = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return None
        return f"status {status}: {self.process.stderr.read().strip()}" if status else None

    def __exit__(self, *_):
        if self.process:
            if self.process.poll() is None:
                self.process.terminate()
            self.process.wait()
            self.process.stderr.close()
        shutil.rmtree(self.folder, ignore_errors=True)
