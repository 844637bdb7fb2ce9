"""Compares this machine with a file of ci/machines: lists what it lacks, and what would help."""

import grp
import gzip
import json
import os
import pwd
import subprocess


class Unusable(Exception):
    """A command that must be asked gives no answer."""


def first_line(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.readline().strip()
    except OSError:
        return None


def kernel_config():
    """The lines of the running kernel's configuration, or None if they cannot be found."""
    try:
        with gzip.open("/proc/config.gz", "rt") as file:
            return file.read().splitlines()
    except OSError:
        pass
    try:
        with open(f"/boot/config-{os.uname().release}", encoding="utf-8") as file:
            return file.read().splitlines()
    except OSError:
        return None


def modprobe(line, name):
    return f"echo '{line}' >/etc/modprobe.d/faultline-{name}.conf, update-initramfs -u and a reboot"


def check_kernel(kernel):
    config = kernel_config()
    for option in kernel["options"]:
        enough = {option} if "=" in option else {option + "=y", option + "=m"}
        if config is not None and not enough & set(config):
            wanted = option if "=" in option else option + "=m"
            yield f"the kernel is built without {option}", f"a kernel with {wanted}"
    for name, value in kernel["parameters"].items():
        module, _, parameter = name.partition(".")
        is_now = first_line(f"/sys/module/{module}/parameters/{parameter}")
        if is_now is None:
            yield f"{module} tells no parameter {parameter}", f"modprobe {module}"
        elif is_now != value:
            yield f"{name} is {is_now}, not {value}", modprobe(f"options {module} {parameter}={value}", module)
    has = (first_line("/proc/cmdline") or "").split()
    for word in kernel["command_line"]:
        if word not in has:
            yield (f"the kernel was started without {word}",
                   f"{word} in GRUB_CMDLINE_LINUX of /etc/default/grub, update-grub and a reboot")
    for module in kernel["without"]:
        if os.path.exists(f"/sys/module/{module}"):
            yield f"the module {module} is loaded, which takes the GPU", modprobe(f"blacklist {module}", f"no-{module}")


def check_groups(groups):
    if os.geteuid() == 0:
        return
    mine = {entry.gr_name for entry in grp.getgrall() if entry.gr_gid in {os.getegid(), *os.getgroups()}}
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    for group in groups:
        if group not in mine:
            yield f"{user} is not in the group {group}", f"usermod -aG {group} {user}, and a new login"


def check_packages(packages):
    for package in packages:
        asked = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", package], capture_output=True, text=True,
                               check=False)
        if "install ok installed" not in asked.stdout:
            yield f"the package {package} is not installed", f"apt-get install {package}"


def ask_targets(words):
    """The rows of `faultline targets`."""
    command = ["build/faultline", "targets", "--json", *(each for word in words for each in ("-t", word))]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        return json.loads(done.stdout)
    except OSError as error:
        raise Unusable(f"build/faultline: {error.strerror}; ninja builds it") from error
    except ValueError as error:
        raise Unusable(f"{' '.join(command)} has no answer (exit status {done.returncode})") from error


def describe(gpu):
    return " ".join(filter(None, [gpu["bus"], gpu["driver"] or "without a driver", gpu["chip"]]))


def why_not(gpu):
    return gpu["why_not"] or "; ".join(gpu["unknown"])


def check_gpus(wanted, gpus, matching):
    """Yields problems. Appends the GPUs that match the file to `matching`."""
    others = [gpu for gpu in gpus if gpu["driver"] != wanted["driver"]]
    driven = [gpu for gpu in gpus if gpu["driver"] == wanted["driver"]]
    kind = wanted["driver"] + (" with " + " or ".join(wanted["chip"]) if wanted["chip"] else "")
    if not driven:
        here = "; there is " + ", ".join(map(describe, others)) if others else ""
        yield f"no GPU of {wanted['driver']}{here}", next((gpu["help"] for gpu in others if gpu["help"]), "")
    for gpu in driven:
        if not gpu["chip"]:
            yield f"GPU {describe(gpu)}: {why_not(gpu)}", gpu["help"]
        elif not wanted["chip"] or any(chip in gpu["chip"] for chip in wanted["chip"]):
            matching.append(gpu)
    if not matching and driven and all(gpu["chip"] for gpu in driven):
        yield f"no GPU of {kind}; there is " + ", ".join(map(describe, driven)), ""
    for gpu in matching:
        for svm in wanted["svm"]:
            if svm not in gpu["svm"]:
                yield f"GPU {describe(gpu)} has no SVM that is {svm}: {why_not(gpu)}", gpu["help"]


def with_buses(target, gpus):
    """Expands a target such as "amdgpu:{bus}/xnack-on" into one target for each GPU."""
    return [target.replace("{bus}", gpu["bus"]) for gpu in gpus] if "{bus}" in target else [target]


def check_targets(targets, rows):
    known = {row["target"]: row for row in rows}
    for target in targets:
        if target not in known:
            yield f"there is no target {target}", "faultline targets lists them"
        elif not known[target]["available"]:
            yield f"the target {target} is not available: {known[target]['why']}", ""


def check(machine, packages):
    """Returns pairs of what is missing and what would help, and the GPUs that match the file. `packages`: check them too."""
    problems = [*check_kernel(machine.kernel), *check_groups(machine.groups)]
    if packages:
        problems += check_packages(machine.packages)
    matching = []
    if machine.gpu:
        on_gpus = [target for target in machine.targets() if "{bus}" in target]
        rows = ask_targets(["host", *dict.fromkeys(target.partition(":")[0] for target in on_gpus)])
        problems += check_gpus(machine.gpu, rows[0].get("gpus", []), matching)
        problems += check_targets([each for target in on_gpus for each in with_buses(target, matching)], rows)
    return problems, matching
