#!/usr/bin/python3
"""Runs a command, and prints how much memory its agents take while it runs.

  stress/bench/memory.py build/faultline run -t host --time 600 stress/scenarios

Reads RssAnon of the agent, and the largest one of its runners, in /proc. Prints a line each --every seconds: seconds, KiB of the
agent, KiB of the largest runner since the last line, the number of the agent's descriptors. Gives the status of the command."""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import time

AGENT = "faultline-agent"[:15]  # the kernel's name for the process


def status(pid):
    """Name, parent and RssAnon in KiB. Nothing if the process is gone, or has no memory any more."""
    try:
        text = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"Name:\t(.*)\n(?:.*\n)*PPid:\t(\d+)\n(?:.*\n)*RssAnon:\s+(\d+) kB", text)
    return found and (found[1], int(found[2]), int(found[3]))


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def sample(root):
    """The agents below `root`: {pid: (KiB, KiB of its largest runner, descriptors)}."""
    all_of = {int(p): s for p in filter(str.isdigit, os.listdir("/proc")) if (s := status(p))}
    agents = {}
    for pid, (name, parent, kib) in all_of.items():
        if name == AGENT and parent in all_of and all_of[parent][0] != AGENT:
            runners = [s[2] for s in all_of.values() if s[1] == pid]
            agents[pid] = kib, max(runners, default=0), descriptors(pid)
    return {pid: of for pid, of in agents.items() if below(pid, root, all_of)}


def below(pid, root, all_of):
    while pid in all_of and pid != root:
        pid = all_of[pid][1]
    return pid == root


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=float, default=30, metavar="SECONDS", help="between two lines (default %(default)s)")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND")
    options = parser.parse_args()
    if not options.command or options.every <= 0:
        parser.error("a command is needed, and --every is more than 0")
    begin = time.monotonic()
    child = subprocess.Popen(options.command, stdout=subprocess.DEVNULL)
    due, largest = 0.0, {}
    while child.poll() is None:
        now = time.monotonic() - begin
        agents = sample(child.pid)
        for pid, (_, runner, _) in agents.items():
            largest[pid] = max(largest.get(pid, 0), runner)
        if agents and now >= due:
            due = now + options.every
            for pid, (kib, _, files) in agents.items():
                print(f"{now:7.1f} s  agent {pid} {kib:>7} KiB  runner {largest.pop(pid):>7} KiB  {files} descriptors", flush=True)
        time.sleep(min(1, options.every / 4))
    return child.returncode


if __name__ == "__main__":
    sys.exit(main())
