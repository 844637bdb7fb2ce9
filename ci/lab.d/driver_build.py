"""Builds amdgpu.ko with its mutants: the lab with amdgpu, in which only that module is another one.

    CACHE/<key>-amdgpu-mutants/     the files of CACHE/<...>-amdgpu, and modules/ with the bugs

The key has the healthy lab's in it: kernel and module are of one build.
"""

import os
import shutil
import time

import build as lab_build
import driver_mutants
import source as sources
from common import cache_root, note
from initramfs import read

VARIANT = "amdgpu-mutants"
MODULES = "modules"


def key(source):
    own = read(os.path.realpath(__file__)).decode()
    return lab_build.digest(lab_build.key(source, lab_build.AMDGPU), driver_mutants.DRIVER.recipe(), own) + "-" + VARIANT


def cached(source, _):
    """The folder of a finished lab, or None."""
    folder = os.path.join(cache_root(), key(source))
    return folder if os.path.isdir(folder) else None


def build(source, _, keep):
    """Returns the folder of a finished lab, building what is not there."""
    if done := cached(source, VARIANT):
        return done
    healthy = lab_build.build(source, lab_build.AMDGPU, keep=True)
    with lab_build.Tree(source) as tree:
        if done := cached(source, VARIANT):  # by whom we waited for
            return done
        started = time.monotonic()
        folder = os.path.join(cache_root(), key(source))
        partial = folder + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(healthy, partial, copy_function=os.link, ignore=shutil.ignore_patterns(MODULES))
        log = os.path.join(partial, "build.log")
        os.remove(log)  # the healthy lab's own
        try:
            sources.unpack(source, tree.src)
            tree.make_healthy()
            compile_driver(tree, log, os.path.join(partial, MODULES))
        except BaseException:
            if os.path.exists(log):
                os.replace(log, os.path.join(tree.root, "failed.log"))
            shutil.rmtree(partial, ignore_errors=True)
            raise
        os.rename(partial, folder)
        if not keep:
            shutil.rmtree(tree.src, ignore_errors=True)
        note(f"built in {time.monotonic() - started:.0f} s")
        return folder


def compile_driver(tree, log, folder):
    os.makedirs(tree.obj, exist_ok=True)
    tree.configure(lab_build.AMDGPU, log)
    tree.make(log, "bzImage", "modules")
    tree.set_aside()
    try:
        driver_mutants.DRIVER.apply(tree.src)
        tree.make(log, "modules")
        lab_build.collect_modules(tree.obj, lab_build.AMDGPU, folder)
    finally:
        tree.make_healthy()
