"""ci/nightly: sets up, builds, and runs the bench on a machine of a kind that ci/machines describes."""

import argparse
import os
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True

import check  # noqa: E402
import machine as machines  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
NIGHT = "results/runs/night-"

HELP = """\
Installs missing packages (ci/setup), builds, and checks this machine against the file. Makes the lab kernel (about
6 minutes on two cores) and, as root, the Debian 13 root and what the GPU in software needs, if they are needed and not
cached. Then runs the file's scenarios on its targets. Without --machine: ci/machines/no-gpu.toml.

  ci/nightly --machine ci/machines/amdgpu-gfx90a.toml --check
                           only says what this machine lacks, and what would help; installs nothing
  ci/nightly --quick       some iterations of each scenario instead of the file's minutes, and no OpenCL suite

Other options go to the first `build/faultline run`, for instance --seed N or --lab-kernel FILE.

Exit code, as of `faultline run` but for all runs together: 0 all agree, 1 something was found, 2 bad input,
3 something could not be decided or this machine is not what the file says, 4 the bench failed. The journals are
in results/runs/. The last lines on the screen are the total of all runs (results/night.py).
"""

UNDECIDED, BENCH = 3, 4
ORDER = (1, 4, 2, 3, 130)  # of several exit codes, the first of these counts


def say(text):
    print(f"ci/nightly: {text}", file=sys.stderr, flush=True)


def must(*command):
    """Runs a command. If it fails, the bench cannot go on, so this ends with BENCH."""
    code = subprocess.call(command, stdout=None if command[0] != "ci/lab" else subprocess.DEVNULL)
    if code:
        say(f"{' '.join(command)} failed with status {code}")
        sys.exit(BENCH)


def fits(machine, packages):
    """Returns the GPUs that match the file. Ends the program if something is missing."""
    try:
        problems, gpus = check.check(machine, packages)
    except check.Unusable as error:
        say(error)
        sys.exit(BENCH)
    if problems:
        say(f"this machine is not what {machine.name} says ({machine.about}):")
        for what, help in problems:
            print(f"  {what}" + (f"\n      would help: {help}" if help else ""), file=sys.stderr)
        sys.exit(UNDECIDED)
    return gpus


def has_root(targets):
    """Whether targets in the Debian 13 root can run, and exit codes of the attempt. They are left out unless run as root."""
    if not any(target.startswith("debian13:") for target in targets) or os.geteuid():
        return False, []
    if subprocess.call(["ci/lab", "root"], stdout=subprocess.DEVNULL) == 0:
        return True, []
    say("there is no Debian 13 root: its drivers are not tested")
    return False, [UNDECIDED]


def has_software_gpu(targets):
    """Whether targets on the GPU in software can run, and exit codes of the attempt. They are left out unless run as root."""
    if not any(target.startswith("lab:amdgpu") for target in targets) or os.geteuid():
        return False, []
    for command in ("ninja", "build/softgpu"), ("ci/lab", "qemu"), ("ci/lab", "build", "--amdgpu"):
        if subprocess.call(command, stdout=subprocess.DEVNULL):
            say(f"there is no GPU in software ({' '.join(command)} failed): the real amdgpu driver is not tested")
            return False, [UNDECIDED]
    return True, []


def run(machine, gpus, quick, passed):
    if any(target.startswith("lab:") for target in machine.targets()) and not any(
            word.startswith("--lab-kernel") for word in passed):
        must("ci/lab", "build")
    rooted, codes = has_root(machine.targets())
    with_gpu, more = has_software_gpu(machine.targets())
    codes += more
    can = {"debian13:": rooted, "lab:amdgpu": with_gpu}
    stopped = []
    for number in (signal.SIGINT, signal.SIGTERM):  # let the current command end in good order, then stop
        signal.signal(number, lambda *_: stopped.append(True))
    environment = os.environ | machine.environment
    print(f"{machine.about}: " + ("a quick run" if quick else f"{sum(each['minutes'] for each in machine.runs)} minutes"),
          flush=True)
    folder = NIGHT + time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    journals = []
    for number, each in enumerate(machine.runs):
        amount = ["--iterations", each["quick"]] if quick else ["--time", 60 * each["minutes"]]
        targets = [word for target in each["targets"] if all(there or not target.startswith(kind) for kind, there in can.items())
                   for word in check.with_buses(target, gpus)]
        if not targets:
            continue
        journals.append(f"{folder}/{number + 1}.jsonl")
        command = ["build/faultline", "run", *(word for target in targets for word in ("-t", target)), *amount,
                   "--json", journals[-1], *(passed if number == 0 else []), *each["scenarios"]]
        code = subprocess.call([str(word) for word in command], env=environment)
        codes.append(code if code in (0, *ORDER) else BENCH)  # any other code: a signal ended it
        if code == 2 and number == 0:
            return code
        if stopped:
            break
    if machine.suite and rooted and not quick and not stopped:
        codes.append(1 if subprocess.call(["ci/opencl-suite"]) else 0)
    subprocess.call(["results/night.py", *filter(os.path.exists, journals)])
    return next((code for code in ORDER if code in codes), 0)


def main():
    parser = argparse.ArgumentParser(prog="ci/nightly", description=HELP, allow_abbrev=False, add_help=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     usage="ci/nightly [--machine FILE] [--check] [--quick] [OPTION of faultline run]...")
    parser.add_argument("--machine", metavar="FILE", help="the kind of machine [ci/machines/no-gpu.toml]")
    parser.add_argument("--check", action="store_true", help="only check this machine against the file")
    parser.add_argument("--quick", action="store_true", help="some iterations instead of the file's minutes")
    parser.add_argument("--help", "-h", action="help", help="this")
    options, passed = parser.parse_known_args()
    path = os.path.abspath(options.machine or os.path.join(ROOT, "ci/machines/no-gpu.toml"))
    os.chdir(ROOT)
    try:
        machine = machines.read(os.path.relpath(path))
    except machines.BadMachine as error:
        print(error, end="", file=sys.stderr)
        return 2
    if any(word.split("=")[0] == "--json" for word in passed):
        print(f"ci/nightly: each run has a journal of its own, in {NIGHT}<time>; --json cannot be given", file=sys.stderr)
        return 2
    if options.check:
        fits(machine, packages=True)
        print(f"this machine is what {machine.name} says: {machine.about}")
        return 0
    must("ci/setup", *machine.packages)
    must("ninja")
    return run(machine, fits(machine, packages=False), options.quick, passed)


if __name__ == "__main__":
    sys.exit(main())
