"""Kernel sources of Debian that are not installed: fetched by apt from this machine's mirror, and kept packed.

    CACHE/source-<version>/linux-source-<version>.tar.xz

A package that this machine's own apt knows comes from there, else from the suite below. For that, apt gets a
configuration of its own in a folder that is removed afterwards: the machine's sources and indexes stay as they are.
"""

import glob
import os
import re
import shutil
import subprocess
import tempfile

from common import UNDECIDED, LabError, cache_root, note

# {version: the suite that has it}. A newer one needs a line here.
SUITES = {"6.1": "bookworm", "6.12": "trixie", "7.3": "trixie-backports"}

KEYRINGS = "/usr/share/keyrings"
NEEDED_BYTES = 1 << 30

CONFIGURATION = """Dir::State "{work}/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "{work}/cache";
Dir::Etc::sourcelist "{work}/list";
Dir::Etc::sourceparts "/dev/null";
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "root";
"""


def package(version):
    return f"linux-source-{version}"


def cached(version):
    """The tarball that was fetched before, or None."""
    found = glob.glob(os.path.join(cache_root(), f"source-{version}", package(version) + ".tar.*"))
    return found[0] if found else None


def fetch(version, mirror):
    """The tarball, fetched if it is not cached. `mirror` gives the URI of this machine's Debian mirror.
    LabError: the version is in no suite that is known here, or the suite cannot be reached."""
    if done := cached(version):
        return done
    os.makedirs(cache_root(), exist_ok=True)
    free = shutil.disk_usage(cache_root()).free
    if free < NEEDED_BYTES:
        raise LabError(f"{cache_root()} has {free >> 20} MiB free, {package(version)} needs {NEEDED_BYTES >> 20} MiB. "
                       "Free some, or point FAULTLINE_CACHE to a larger disk")
    with tempfile.TemporaryDirectory(dir=cache_root(), prefix="source-partial-") as work:
        env = {**os.environ, "LC_ALL": "C"}
        if not known_to_apt(version):
            env["APT_CONFIG"] = configured(work, mirror(), SUITES[version])
            apt(["update"], work, env, version)
        note(f"fetching {package(version)} (150 MB)")
        apt(["download", package(version)], work, env, version)
        made = os.path.join(work, "made")
        os.mkdir(made)
        unpack(glob.glob(os.path.join(work, "*.deb"))[0], made, version)
        try:
            os.rename(made, os.path.join(cache_root(), f"source-{version}"))
        except OSError:  # another one was faster
            if not cached(version):
                raise
    return cached(version)


def known_to_apt(version):
    done = subprocess.run(["apt-cache", "policy", package(version)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False)
    return re.search(r"Candidate: \d", done.stdout) is not None


def configured(work, uri, suite):
    """Writes apt's configuration for one suite. Returns its path, for APT_CONFIG."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(work, folder))
    keys = ",".join(sorted(glob.glob(os.path.join(KEYRINGS, "debian-archive-*stable.gpg")) +
                           glob.glob(os.path.join(KEYRINGS, "debian-archive-*automatic.gpg"))))
    with open(os.path.join(work, "list"), "w", encoding="utf-8") as f:
        f.write(f"deb [signed-by={keys}] {uri} {suite} main\n")
    path = os.path.join(work, "configuration")
    with open(path, "w", encoding="utf-8") as f:
        f.write(CONFIGURATION.format(work=work))
    return path


def apt(words, work, env, version):
    done = subprocess.run(["apt-get", "-q", *words], cwd=work, env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    # A suite that cannot be reached is a warning for apt-get update.
    lines = [line for line in done.stdout.splitlines() if re.match(r"[EW]: |Err:", line)]
    if not done.returncode and not any(line.startswith(("E:", "Err:")) for line in lines):
        return
    shown = "".join("\n  | " + line for line in lines[:6])
    text = "\n".join(lines)
    if "NO_PUBKEY" in text or "not signed" in text:
        raise LabError(f"the keys of {SUITES[version]} are not in {KEYRINGS}: apt-get install debian-archive-keyring" + shown)
    raise LabError(f"{package(version)} cannot be fetched from {SUITES[version]} (apt-get {words[0]}): no network, or this "
                   f"machine's mirror does not have it. Elsewhere, unpack {package(version)}_*.deb (dpkg -x), and give the "
                   "tarball in its usr/src to --source" + shown, UNDECIDED)


def unpack(deb, into, version):
    """Takes the tarball out of the package."""
    whole = os.path.join(into, "all")
    done = subprocess.run(["dpkg", "-x", deb, whole], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=False)
    found = glob.glob(os.path.join(whole, "usr/src", package(version) + ".tar.*"))
    if done.returncode or not found:
        raise LabError(f"{os.path.basename(deb)} has no {package(version)}: {done.stderr.strip() or 'no such file in it'}")
    os.rename(found[0], os.path.join(into, os.path.basename(found[0])))
    shutil.rmtree(whole)
