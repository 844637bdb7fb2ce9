"""The flavours of the lab kernel: the same code with other options. A flavour is built only when it is asked for.

    CACHE/<key>-kasan/              a finished lab; modules/ has the bugs of KASAN's own test
    CACHE/work/<id>/obj-kasan/      its objects, kept: no object is the same as in another variant

A flavour is no part of another variant's key: that of each is made from build.py and its own options. So a new flavour
has no other kernel built again.
"""

import difflib
import os

import build as lab_build
from common import BAD_INPUT, HERE, LabError

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
    def work(tree, partial, log):
        tree.obj = os.path.join(tree.root, "obj-" + flavour)
        compile_kernel(tree, flavour, partial, log)
        lab_build.finish(tree, partial, log)
    return lab_build.make_lab(source, lab_build.key(source, flavour), keep, work)


def compile_kernel(tree, flavour, partial, log):
    os.makedirs(tree.obj, exist_ok=True)
    tree.configure(flavour, log)
    tree.make(log, "bzImage", "modules")
    lab_build.collect(tree.obj, partial)
    for module in MODULES[flavour]:
        lab_build.collect_modules(tree.obj, module, os.path.join(partial, "modules"))
