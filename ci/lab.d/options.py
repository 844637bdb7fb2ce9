"""The options of a kernel that are asked for: what stands for one that another version renamed, and which are missing."""

import os
import re

from common import note

DEFINED = re.compile(rb"^\s*(?:menu)?config (\w+)", re.M)

# {a line of kernel.config, which is for 6.1: the line that says the same where there is no such option}
RENAMED = {
    "CONFIG_BASE_FULL=y": "# CONFIG_BASE_SMALL is not set",  # 6.10
    "CONFIG_PROC_SYSCTL=y": "CONFIG_SYSCTL=y",  # 7.3
}


def defined(src):
    """The names of all options of a source tree, without CONFIG_."""
    names = set()
    for at, _, files in os.walk(src):
        for name in files:
            if name.startswith("Kconfig"):
                with open(os.path.join(at, name), "rb") as f:
                    names.update(DEFINED.findall(f.read()))
    return {name.decode() for name in names}


def fitted(fragment, src):
    """The fragment as this source can take it. An option that it lacks is left out, and said by name."""
    known = defined(src)
    lines, missing = [], []
    for line in fragment.splitlines():
        name = line.removeprefix("# ").split("=")[0].split()[0].removeprefix("CONFIG_")
        if name not in known:
            if line in RENAMED:
                line = RENAMED[line]
            elif "=" in line:
                missing.append("CONFIG_" + name)
                continue
        lines.append(line + "\n")
    if missing:
        note("this kernel has no " + ", ".join(missing) + ": it is built without")
    return "".join(lines)
