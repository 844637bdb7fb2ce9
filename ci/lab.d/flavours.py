"""The flavours of the lab kernel: the same code with other options. A flavour is built only when it is asked for.

    CACHE/<key>-kasan/              a finished lab; modules/ has the bugs of KASAN's own test
    CACHE/work/<id>/obj-kasan/      its objects, kept: no object is the same as in another variant

A flavour is no part of another variant's key: that of each is made from build.py and its own options. So a new flavour
has no other kernel built again.
"""

import difflib
import os
import shutil
import time

import build as lab_build
import source as sources
from common import BAD_INPUT, HERE, LabError, cache_root, note

# {flavour: the modules that come with it}. Its options are those of kernel.config and those of FLAVOUR.config, which win.
MODULES = {"kasan": ["kasan_test_module"]}

lab_build.ADDED.update({flavour: os.path.join(HERE, flavour + ".config") for flavour in MODULES})


def named(name):
    """The flavour of that name. LabError if there is none."""
    if name in MODULES:
        return name
    near = difflib.get_close_matches(name, MODULES, 1)
    hint = f"did you mean '{near[0]}'?" if near else "there is " + ", ".join(MODULES)
    raise LabError(f"unknown flavour '{name}'; {hint}", BAD_INPUT)


def cached(source, flavour):
    """The folder of a finished lab, or None."""
    return lab_build.cached(source, flavour)


def build(source, flavour, keep):
    """Returns the folder of a finished lab, building what is not there."""
    if done := cached(source, flavour):
        return done
    lab_build.check_tools()
    with lab_build.Tree(source) as tree:
        if done := cached(source, flavour):  # by whom we waited for
            return done
        started = time.monotonic()
        folder = os.path.join(cache_root(), lab_build.key(source, flavour))
        partial = folder + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        os.makedirs(partial)
        log = os.path.join(partial, "build.log")
        try:
            sources.unpack(source, tree.src)
            tree.make_healthy()
            tree.obj = os.path.join(tree.root, "obj-" + flavour)
            compile_kernel(tree, flavour, partial, log)
            lab_build.finish(tree, partial, log)
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


def compile_kernel(tree, flavour, partial, log):
    os.makedirs(tree.obj, exist_ok=True)
    tree.configure(flavour, log)
    tree.make(log, "bzImage", "modules")
    lab_build.collect(tree.obj, partial)
    for module in MODULES[flavour]:
        lab_build.collect_modules(tree.obj, module, os.path.join(partial, "modules"))
