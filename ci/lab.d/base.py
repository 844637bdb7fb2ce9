"""The base initramfs for a kernel that is not ours, without building ours first."""

import os
import tempfile

import build
import initramfs
from common import HERE, cache_root


def folder_for():
    """The folder with the initramfs; it has no hmm-tests, which come from a kernel's source. Made once."""
    build.check_tools()
    inputs = [build.read_text(os.path.join(HERE, name)) for name in ("init", "initramfs.py", "base.py")]
    folder = os.path.join(cache_root(), "base-" + build.digest(*inputs, initramfs.find_busybox()))
    if os.path.isdir(folder):
        return folder
    os.makedirs(cache_root(), exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_root(), prefix="base-partial-") as partial:
        files, made = os.path.join(partial, "files.ext4"), os.path.join(partial, "made")
        build.file_system(files, os.path.join(partial, "log"))
        os.mkdir(made)
        with open(os.path.join(made, "initramfs"), "wb") as f:
            f.write(initramfs.base(build.INIT, {"files.ext4": files}))
        try:
            os.rename(made, folder)
        except OSError:  # another one was faster
            if not os.path.isdir(folder):
                raise
    return folder
