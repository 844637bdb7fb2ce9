#!/usr/bin/python3
"""An agent that runs nothing: it speaks the protocol and does what its arguments say.

Tests use it (FAULTLINE_AGENT, FAULTLINE_LAB) for things that a healthy machine never does. Each word SCENARIO=FAULT
gives a scenario a fault. The other scenarios run well and show the first --outcome.
"""

import argparse
import json
import os
import re
import sys
import time

NO_USM = {"access": False, "atomics": False, "concurrent": False, "concurrent_atomics": False}
BUFFERS = {"events": False, "migration_errors": True, "svm_coarse": False, "svm_fine": False, "atomics": False, "usm_host": NO_USM,
           "usm_shared": NO_USM, "usm_device": NO_USM, "device_address": False, "uffd": False, "page_failures": False, "huge_pages": False,
           "shared_huge_pages": False}
TARGETS = {
    "host": {"class": "shares_cpu_tables", "faults": False, "identity": True, "location": False, "migrate": False,
             "snapshot": False, "pin": False, "exclusive": False, "direct": False, "inherited": True, "swap": False,
             "forked": True, "system": True, **BUFFERS},
    "dmirror": {"class": "recoverable", "faults": True, "identity": True, "location": True, "migrate": True,
                "snapshot": True, "pin": False, "exclusive": True, "direct": False, "inherited": True, "swap": False,
                "forked": True, "system": True, **BUFFERS},
}
TARGETS["amdgpu"] = TARGETS["dmirror"]
LAST_WORDS = {"panic": "bye", "splat": "BUG: kernel NULL pointer dereference",
              "lockup": "watchdog: Watchdog detected hard LOCKUP on cpu 1"}
# Known findings (known_findings.cpp), cut to what they are known by.
LOCK_CYCLE = ["WARNING: possible circular locking dependency detected",
              "0 (&prange->lock){+.+.}-{3:3}, at: svm_range_validate_and_map+0x6d3/0x1250 [amdgpu]",
              *(f"-> #{n} ({name}){{+.+.}}-{{3:3}}:" for n, name in
                ((3, "&prange->lock"), (2, "mmu_notifier_invalidate_range_start"), (1, "fs_reclaim"), (0, "&mgr->lock#2"))),
              "       amdgpu_vram_mgr_new+0x11c/0x4e0 [amdgpu]"]
REUSED_PAGE = ["kernel BUG at include/linux/mm.h:780!", "RIP: 0010:migrate_device_finalize+0x2d9/0x320",
               " svm_migrate_ram_to_vram.part.0+0x29a/0x3b0 [amdgpu]", " svm_range_restore_pages+0xadb/0xb70 [amdgpu]",
               "Kernel panic - not syncing: Fatal exception"]
HUNG = "INFO: task {} blocked for more than 30 seconds."
SELF_WAIT = [HUNG.format("kworker/0:1:10"), " flush_delayed_work+0x2d/0x60", " evict_process_worker+0x36/0xe0 [amdgpu]",
             HUNG.format("kworker/u4:1:22"), " cancel_delayed_work_sync+0xe/0x10",
             " kfd_process_notifier_release+0x8e/0xd0 [amdgpu]", " mmput+0x2d/0x40",
             " restore_process_queues_nocpsch+0x1be/0x270 [amdgpu]", " restore_process_worker+0x3e/0x80 [amdgpu]"]
# How these hang events differ from a plain hang.
HANGS = {"hang": {}, "stuck": {"stuck": True}, "slow": {"slow": True}, "once": {"once": True}, "twice": {"once": True},
         "known-stuck": {"stuck": True}, "hung-task": {"stuck": True}, "unready": {"set_up": "P opens its devices"}}
FAULTS = ("die", "gpu", *LAST_WORDS, "known", "known-death", "early-death", "silent", "chatter", "flood", "toomuch", "garbage",
          "notjson", "health", *HANGS, "patient",
          "error", "skip", "misfit", "forbidden", "endless", "deaf", "empty", "calls", "uncounted", "crash")


def say(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def batch(run, first, count, texts):
    say(ev="batch", id=run["id"], first=first, count=count,
        parameters={"seed": 5, "cpus": [0], "offsets": [[120]]},
        outcomes=[{"texts": texts, "count": count, "first": first}] if count else [], ns=1000 * count)


class Agent:
    def __init__(self, options):
        self.options = options
        self.faults = dict(word.split("=") for word in options.fault)

    def console(self, *lines):
        if self.options.console:
            with open(self.options.console, "a", encoding="utf-8") as file:
                file.write("".join(f"[   12.5] {line}\r\n" for line in lines))

    def fault_of(self, scenario):
        fault = self.faults.get(scenario, "")
        if not self.options.once or not fault:
            return fault
        # Only the first machine has the fault.
        try:
            os.close(os.open(f"{self.options.once}.{scenario}", os.O_CREAT | os.O_EXCL))
            return fault
        except FileExistsError:
            return ""

    def hello(self):
        targets = [{"name": name, "available": name in self.options.targets,
                    "about": "", "why": "" if name in self.options.targets else "no /dev/hmm_dmirror0: load test_hmm",
                    "capabilities": TARGETS[name]} for name in TARGETS if name != "amdgpu" or name in self.options.targets]
        if self.options.gpu:
            why = "" if self.options.gpu == "good" else "no GPU of amdgpu here"
            targets.append({"name": "amdgpu", "available": not why, "about": "", "why": why, "capabilities": TARGETS["host"]})
        for key, crashed in ("no_opencl", False), ("crashed_opencl", True):
            if why := getattr(self.options, key):
                targets.append({"name": "opencl", "available": False, "about": "", "why": why, "crashed": crashed,
                                "capabilities": TARGETS["host"]})
        say(ev="hello", agent="1", kernel="6.1.99 #1 SMP", arch="x86_64", cpus=2, root=True, log=True,
            log_why="", targets=targets)

    def run(self, run):
        scenario = re.search(r"^\s*scenario\s+(\S+)", run["text"], re.M).group(1)
        fault = self.fault_of(scenario)
        count = min(run["iterations"], 100)
        texts = self.options.outcome
        if fault == "skip":
            return say(ev="skipped", id=run["id"], why="no appetite")
        if fault == "empty":
            return say(ev="done", id=run["id"], iterations=0)
        if fault == "forbidden":
            batch(run, 0, count, texts)
            batch(run, count, 3, self.options.forbidden)
            return say(ev="done", id=run["id"], iterations=count + 3)
        if fault == "early-death":
            self.console(*REUSED_PAGE)
            os._exit(1)
        if fault == "misfit":
            batch(run, 0, count, texts + ["more"])
            return say(ev="done", id=run["id"], iterations=count)
        batch(run, 0, count, texts)
        if fault == "die":
            os._exit(7)
        if fault == "known":
            say(ev="health", id=run["id"], lines=LOCK_CYCLE)
        if fault == "known-stuck":  # it takes a while until an iteration hangs
            say(ev="health", id=run["id"], lines=SELF_WAIT)
            time.sleep(0.2)
        if fault == "hung-task":
            say(ev="health", id=run["id"], lines=[*SELF_WAIT, HUNG.format("other:7"), " io_schedule+0x3e/0x60"])
        if fault == "known-death":
            self.console(*LOCK_CYCLE, *REUSED_PAGE)
            os._exit(1)
        if fault == "gpu":  # the lab gives the machine up, whose kernel has complained of its device
            self.console("BUG: unable to handle page fault in amdgpu")
            print("lab: gone; the console's last words:\n  | its words\nlab: the software GPU ended, killed by SIGSEGV", file=sys.stderr)
            os._exit(4)
        if fault in LAST_WORDS:
            self.console("all is well", LAST_WORDS[fault], "last word")
            os._exit(1)
        if fault == "silent":
            time.sleep(3600)
        while fault == "chatter":  # about another slice
            time.sleep(0.05)
            say(ev="alive", id=run["id"] + 1)
        if fault == "toomuch":
            return batch(run, count, run["iterations"], texts)
        for _ in range(3000 if fault == "flood" else 0):
            say(ev="health", id=run["id"], lines=["WARNING: CPU: 1 PID: 7 at mm/hmm.c:1" + " " * 4000])
        if fault == "garbage":
            return say(ev="greetings", id=run["id"])
        if fault == "notjson":
            sys.stdout.write("\x1b[31mKernel panic\n")
            return sys.stdout.flush()
        if fault == "health":
            say(ev="health", id=run["id"], lines=["WARNING: CPU: 1 PID: 7 at mm/hmm.c:1", "Call Trace:"])
        if fault == "calls":
            say(ev="calls", id=run["id"], not_counted=["nouveau_range_fault: gone"], why_none="", functions=[
                {"name": "nouveau_svm_fault", "what": "fault buffers read", "calls": 3, "missed": 0},
                {"name": "nouveau_dmem_migrate_vma", "what": "migrations to VRAM", "calls": 0, "missed": 2}])
        if fault == "uncounted":
            say(ev="calls", id=run["id"], not_counted=[], why_none="there is no tracefs", functions=[])
        if fault == "patient":
            for _ in range(10):
                time.sleep(0.2)
                say(ev="alive", id=run["id"])
        for iteration in {"twice": (31, 33)}.get(fault, (31,) if fault in HANGS else ()):
            say(ev="hang", id=run["id"], iteration=iteration, **{"stuck": False, "slow": False, **HANGS[fault]},
                why=["it was to end in 5 s, and then for 3.00 s none of its tasks got CPU time, or waited for a CPU"],
                threads=[{"thread": "P.cpu", "tid": 91, "statement": "load a[0]#1", "state": "D",
                          "wchan": "hmm_range_fault", "syscall": "16", "stack": ["dmirror_fault+0x1"], "process": "P",
                          "pid": 90, "command": "agent", "cpu_ms": 12},
                         {"thread": "", "tid": 92, "statement": "", "state": "S", "wchan": "0", "syscall": "", "stack": [],
                          "process": "P", "pid": 90, "command": "pocl-worker", "cpu_ms": 1500}])
            if HANGS[fault].get("stuck"):
                time.sleep(3600)
        if fault == "crash":
            say(ev="crash", id=run["id"], iteration=31, what="took SIGSEGV at address 0x10", in_call=True,
                places=[{"function": "clEnqueueSVMMemcpy", "thread": "P.gpu", "where": "at r0 (line 8)"}])
            say(ev="crash", id=run["id"], iteration=32, what="took SIGABRT in a thread of its own", in_call=False, places=[])
        if fault == "error":
            say(ev="error", id=run["id"], message="fork: Cannot allocate memory")
        if fault == "deaf":
            while True:
                time.sleep(0.05)
                batch(run, 0, 1, texts)
        done = count
        if fault == "endless" or run["iterations"] >= 10**9:
            done += self.until_stopped(run, texts)
        elif run["iterations"] > count:
            batch(run, count, run["iterations"] - count, texts)
            done = run["iterations"]
        say(ev="done", id=run["id"], iterations=done)

    def until_stopped(self, run, texts):
        os.set_blocking(0, False)
        done = 0
        while not (line := sys.stdin.readline()):
            time.sleep(0.01)
            if run["iterations"] < 10**9:  # it may show no more than it was asked for
                say(ev="alive", id=run["id"])
                continue
            batch(run, 100 + done, 10, texts)
            done += 10
        os.set_blocking(0, True)
        if json.loads(line)["op"] == "quit":
            sys.exit(0)
        return done

    def serve(self):
        self.console("booted", "amdgpu: probe failed with error -12" if self.options.gpu == "bad" else "all drivers are well")
        if self.options.late:
            time.sleep(3600)
        for line in iter(sys.stdin.readline, ""):
            message = json.loads(line)
            if message["op"] == "hello":
                self.hello()
            elif message["op"] == "run":
                self.run(message)
            elif message["op"] == "quit":
                return


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", action="append", default=[], help="SCENARIO=" + "|".join(FAULTS))
    parser.add_argument("--once", help="each fault only once; the name of the file that marks it")
    parser.add_argument("--outcome", type=json.loads, default=["7"])
    parser.add_argument("--forbidden", type=json.loads, default=["alien"])
    parser.add_argument("--targets", nargs="*", default=["host", "dmirror"])
    parser.add_argument("--no-opencl", help="the reason why there is no OpenCL device")
    parser.add_argument("--crashed-opencl", help="the reason, if the driver crashed")
    parser.add_argument("--bad-options", help="what is wrong with the lab's options")
    parser.add_argument("--gpu", choices=["good", "bad"], help="amdgpu is a target, and whether it is available")
    parser.add_argument("--late", action="store_true", help="never say hello")
    # The arguments of ci/lab
    parser.add_argument("command", nargs="?")
    parser.add_argument("--path", action="store_true")
    parser.add_argument("--agent")
    parser.add_argument("--kernel")
    parser.add_argument("--append")
    parser.add_argument("--console")
    parser.add_argument("--softgpu")
    parser.add_argument("--softgpu-options", default="")
    parser.add_argument("--modules")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.command == "path" or options.path:
        print("/cache/lab")
        return
    if options.check:
        if options.bad_options:
            print("lab: " + options.bad_options, file=sys.stderr)
        sys.exit(2 if options.bad_options else 0)
    Agent(options).serve()


if __name__ == "__main__":
    main()
