#!/usr/bin/python3
"""Runs a command while N processes keep the machine busy: a busy machine must not be reported as a hang.

  stress/beside_load.py 8 build/faultline run -t host --iterations 50 stress/scenarios

The busy processes end with the command. The exit code is the command's.
"""

import subprocess
import sys


def main():
    if len(sys.argv) < 3 or not sys.argv[1].isdigit():
        print(__doc__.strip(), file=sys.stderr)
        return 2
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(int(sys.argv[1]))]
    try:
        return subprocess.run(sys.argv[2:], check=False).returncode
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


if __name__ == "__main__":
    sys.exit(main())
