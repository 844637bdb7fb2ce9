"""Builds amdgpu.ko with its mutants: the lab with amdgpu, in which only that module is another one.

    CACHE/<key>-amdgpu-mutants/     the files of CACHE/<...>-amdgpu, and modules/ with the bugs

The key has the healthy lab's in it: kernel and module are of one build.
"""

import os
import shutil

import build as lab_build
import driver_mutants
from common import cache_root
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

    def work(tree, partial, log):
        shutil.copytree(healthy, partial, copy_function=os.link, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns(MODULES, os.path.basename(log)))
        compile_driver(tree, log, os.path.join(partial, MODULES))
    return lab_build.make_lab(source, key(source), keep, work)


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
