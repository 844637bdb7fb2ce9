#!/usr/bin/python3
"""O_DIRECT on a slow device and a real file system, in the virtual lab.

Boots the lab's kernel with two ext4 file systems on RAM disks, one of them behind dm-delay. Then build/direct-io
tests the claims of mail threads 002 and 003 about pages of a transfer in flight: pages of fork()ing processes and of
files (results: direct_io.md). Prints an answer and a verdict for each experiment, and a table of who waits for a
transfer. The answers go to results/runs/ too, where `faultline claims` finds them.

Exit code: 0 all agree, 1 something is forbidden, 3 the machine is too slow, 4 the lab or an experiment failed.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# RAM that ends at the end of a memory block, with a part for movable pages only: so there is a block that can be emptied.
APPEND = "mem=896M movablecore=384M numa=fake=1"  # one node: movablecore is spread over all of them
TARGET = "lab:direct-io"
TOO_SLOW = ""  # the answer if an experiment was never done before the end of its transfer
# These must wait for the transfer's end: inode_dio_wait(), kill_ioctx(), exit_aio(), offline_pages().
MUST_WAIT = {"truncate() of the file it reads", "io_destroy()", "exit of its process", "taking its memory offline"}


class Failed(Exception):
    pass


def observe(times, lab_words=()):
    """Runs build/direct-io in the lab and returns its lines."""
    with tempfile.TemporaryDirectory(prefix="faultline-direct-io-") as folder:
        image = os.path.join(folder, "image")
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"  # for mke2fs
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "4096", image, "32M"], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "PATH": path})
        console = os.path.join(folder, "console")
        done = subprocess.run(
            [ROOT / "ci/lab", "exec", "--append", APPEND, "--console", console, "--timeout", "900", *lab_words,
             "--file", ROOT / "build/direct-io", "--file", image, "--", "/direct-io", "/image", str(times)],
            stdout=subprocess.PIPE, text=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        errors = [line["error"] for line in lines if "error" in line]
        if done.returncode or errors:
            raise Failed("; ".join(errors) or f"ci/lab exec ended with status {done.returncode}")
        return lines


def kind(experiments):
    """What O_DIRECT takes on this kernel: 'references' or 'pins'. The first answer that fits only one of them decides."""
    for line in experiments:
        for what in ("references", "pins"):
            if line["references"] != line["pins"] and set(line["answers"]) == {line[what]}:
                return what
    return "references"


def judge(lines):
    """[(experiment's line, 'agree', 'forbidden' or 'inconclusive')]. All answers must fit the same kind of kernel."""
    experiments = [line for line in lines if "experiment" in line]
    column = kind(experiments)

    def verdict(line):
        answers = set(line["answers"]) - {TOO_SLOW}
        return "forbidden" if answers - {line[column]} else "agree" if answers else "inconclusive"
    return [(line, verdict(line)) for line in experiments]


def judge_waits(lines):
    """('agree' or 'forbidden', what was seen), or None without measurements. Times are not judged."""
    waits = [line for line in lines if "wait" in line]
    if not waits:
        return None
    until_end = [line["wait"] for line in waits if not line["ended_in_flight"]]
    others = dict.fromkeys(line["wait"] for line in waits if line["ended_in_flight"])
    return ("forbidden" if MUST_WAIT & set(others) else "agree",
            f"until its end wait {', '.join(until_end)}; not {', '.join(others)}")


def verdicts(lines):
    waits = judge_waits(lines)
    return [verdict for _, verdict in judge(lines)] + ([waits[0]] if waits else [])


def text_of(lines):
    kernel = next(line["kernel"] for line in lines if "kernel" in line)
    judged = judge(lines)
    out = []
    for line, verdict in judged:
        out.append(f"{line['experiment']} ({line['claim']}): {line['says']}")
        out += [f"    {times} times: {answer or '(not done in time)'}" for answer, times in line["answers"].items()]
        out += [f"    log: {words}" for words in line["log"]]
        out.append(f"    {verdict}, Linux {kernel}")
    out.append(f"O_DIRECT takes {kind([line for line, _ in judged])} on pages in Linux {kernel}\n")
    waits = [line for line in lines if "wait" in line]
    if waits:
        delays = sorted({t["delay_ms"] for line in waits for t in line["times"]})
        out.append("Who waits for a transfer (2.1): ms, by the transfer's length in ms (0: there is none)")
        out.append(f"{'':32}{'it writes to':22}" + "".join(f"{d:>7}" for d in delays) + "  waits for its end")
    for line in waits:
        who = line["wait"]
        took = {t["delay_ms"]: f"{t['took_ms']:.0f}" for t in line["times"]}
        # The results, if there were any: a transfer may change them.
        results = dict.fromkeys(t["result"] for t in line["times"] if t["result"])
        out.append(f"{who:32}{line['memory']:22}" + "".join(f"{took.get(d, ''):>7}" for d in delays) +
                   ("  no" if line["ended_in_flight"] else "  yes") + (f" ({', then '.join(results)})" if results else ""))
    if waits:
        out.append(f"    {judge_waits(lines)[0]}, Linux {kernel}")
    return "\n".join(out)


def journal(lines, folder):
    """Writes verdicts in the format of `faultline run`, with what was seen."""
    folder.mkdir(parents=True)
    kernel = next(line["kernel"] for line in lines if "kernel" in line)
    rows = [(line["experiment"], verdict, sum(line["answers"].values()), "; or ".join(line["answers"]))
            for line, verdict in judge(lines)]
    waits = judge_waits(lines)
    if waits:
        rows.append(("who-waits", waits[0], max(len(line["times"]) for line in lines if "wait" in line), waits[1]))
    with open(folder / "journal.jsonl", "w", encoding="utf-8") as out:
        for name, verdict, iterations, saw in rows:
            out.write(json.dumps({"ev": "verdict", "scenario": name, "target": TARGET, "kernel": kernel,
                                  "verdict": verdict, "iterations": iterations, "saw": saw},
                                 separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3, help="how often each experiment is done (default 3)")
    parser.add_argument("--lab-kernel", help="a bzImage of your own instead of the lab's")
    options = parser.parse_args()
    if options.times < 1:
        parser.error("--times: at least 1")
    try:
        lines = observe(options.times, ["--kernel", options.lab_kernel] if options.lab_kernel else [])
    except (Failed, OSError, subprocess.CalledProcessError) as error:
        print(f"direct_io: {error}", file=sys.stderr)
        return 4
    print(text_of(lines))
    journal(lines, ROOT / "results/runs" / time.strftime(f"%Y-%m-%dT%H-%M-%SZ-{os.getpid()}", time.gmtime()))
    found = verdicts(lines)
    return 1 if "forbidden" in found else 3 if "inconclusive" in found else 0


if __name__ == "__main__":
    sys.exit(main())
