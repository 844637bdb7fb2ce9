"""Counts of a driver's function calls on the lab's real kernel: build/driver-calls, and the report of `faultline run`."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "ci/lab.d"))

import mutants  # noqa: E402

CALLS = ROOT / "build/driver-calls"
PAGES = 3
FUNCTIONS = ["dmirror_interval_invalidate", "dmirror_fault", "dmirror_devmem_fault", "dmirror_migrate_to_device",
             "dmirror_migrate_to_system"]

# Does what each letter of its argument says, with three pages and a test_hmm device that mirrors them.
MIRROR = r"""
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
struct command { uint64_t addr, ptr, npages, cpages, faults; };
#define PAGES 3L
static char buffer[PAGES * 4096] = {1}, *pages;
static int device = -1;
static int ask(unsigned number, char* at, long count) {
  struct command command = {(uint64_t)at, (uint64_t)buffer, count, 0, 0};
  return ioctl(device, _IOWR('H', number, struct command), &command);
}
int main(int words, char** word) {
  pages = mmap(0, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (long i = 0; i < PAGES * 4096; i += 4096) pages[i] = 1, buffer[i] = 1;
  for (char* c = words > 1 ? word[1] : ""; *c; ++c) {
    int wrong = 0;
    switch (*c) {
      case 'o': wrong = (device = open("/dev/hmm_dmirror0", O_RDWR)) < 0; break;
      case 'c': wrong = close(device); break;
      case 'r': for (long i = 0; i < PAGES; ++i) wrong |= ask(0, pages + i * 4096, 1); break;
      case 'm': wrong = ask(2, pages, PAGES); break;
      case 's': wrong = ask(3, pages, PAGES); break;
      case 't': for (long i = 0; i < PAGES; ++i) *(volatile char*)(pages + i * 4096); break;
      case 'd': wrong = madvise(pages, PAGES * 4096, MADV_DONTNEED); break;
      case 'p': wrong = mprotect(pages, PAGES * 4096, PROT_READ); break;
      case 'u': wrong = munmap(pages, PAGES * 4096); break;
    }
    if (wrong) return 1;
  }
  return 0;
}
"""


@pytest.fixture(scope="session")
def mirror(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirror")
    (folder / "mirror.c").write_text(MIRROR)
    subprocess.run(["gcc", "-O1", "-static", "-o", folder / "mirror", folder / "mirror.c"], check=True)
    return folder / "mirror"


def in_the_lab(tmp_path, script, *files, lab=()):
    given = [word for file in (CALLS, *files) for word in ("--file", str(file))]
    done = subprocess.run([ROOT / "ci/lab", "exec", *lab, "--console", tmp_path / "console", *given, "--", "sh", "-c", script],
                          text=True, timeout=300, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    console = (tmp_path / "console").read_text()
    assert "WARNING:" not in console and "BUG:" not in console
    return done


def counts(lines):
    """The counts in the output of driver-calls. No call may have been missed."""
    rows = [line.split() for line in lines if not line.startswith("not counted: ")]
    assert all(missed == "0" for _, _, missed in rows)
    return {name: int(calls) for name, calls, _ in rows}


def counted(tmp_path, mirror, *programs, lab=()):
    """Runs the programs and returns their counts, by program and then by function."""
    script = "".join(f"echo ={program}; /driver-calls test_hmm -- /mirror {program} || exit 9\n" for program in programs)
    done = in_the_lab(tmp_path, script, mirror, lab=lab)
    assert done.returncode == 0, done
    parts = [part.splitlines() for part in done.stdout.split("=")[1:]]
    return {part[0]: counts(part[1:]) for part in parts}


def invalidations(all_of, program, *others):
    """How many more invalidations the other programs have."""
    return [all_of[other][FUNCTIONS[0]] - all_of[program][FUNCTIONS[0]] for other in others]


def test_counts_are_those_of_the_program(tmp_path, mirror):
    all_of = counted(tmp_path, mirror, "", "oc", "orc", "orrc", "ordrc", "omc", "omtc", "omttc", "omsc", "ordc", "orpc", "oruc",
                     "ouc", "omtmtc")
    assert all(list(each) == FUNCTIONS for each in all_of.values())

    def of(program):
        return [all_of[program][name] for name in FUNCTIONS[1:]]  # all but invalidations
    # Nothing is counted for a program that leaves the device alone. One that only opens it makes no such calls.
    assert all_of[""] == dict.fromkeys(FUNCTIONS, 0)
    assert of("oc") == of("ouc") == [0, 0, 0, 0]
    # Device faults: one for each page that the device has not mapped, none for the others.
    assert of("orc") == of("orrc") == [PAGES, 0, 0, 0]
    assert of("ordrc") == [2 * PAGES, 0, 0, 0]
    # Migrations, and CPU faults on pages in device memory: each counted once.
    assert of("omc") == [0, 0, 1, 0]
    assert of("omtc") == of("omttc") == [0, PAGES, 1, 0]
    assert of("omtmtc") == [0, 2 * PAGES, 2, 0]
    assert of("omsc") == [0, 0, 1, 1]
    # One invalidation for each call that changes the mapping (zap_page_range_single(), mprotect_fixup(), unmap_vmas()).
    assert invalidations(all_of, "oc", "ouc") == [1]
    assert invalidations(all_of, "orc", "ordc", "orpc", "oruc") == [1, 1, 1]


@pytest.mark.parametrize("mutant, seen", [("mprotect-no-notify", [1, 0, 1]), ("dontneed-no-notify", [0, 1, 1])])
def test_what_a_broken_kernel_does_not_tell(tmp_path, mirror, mutant, seen):
    number = next(each.number for each in mutants.MUTANTS if each.name == mutant)
    all_of = counted(tmp_path, mirror, "orc", "ordc", "orpc", "oruc", lab=["--mutants", "--append", f"faultline_mutant={number}"])
    assert invalidations(all_of, "orc", "ordc", "orpc", "oruc") == seen


def test_functions_that_are_not_there(tmp_path, mirror):
    done = in_the_lab(tmp_path, "/driver-calls no_such_function dmirror_fault -- /mirror orc; echo $?\n"
                                "/driver-calls no_such_function nouveau -- /mirror orc; echo $?; ls /sys/kernel/tracing/instances",
                      mirror)
    why = "not in /proc/kallsyms: this kernel does not have it, or only inlined into its callers"
    assert done.stdout.splitlines() == [
        f"dmirror_fault {PAGES} 0", f"not counted: no_such_function: {why}", "0",
        "driver-calls: the kernel has none of the driver's functions: is its module loaded, with SVM configured?", "3"]


def test_what_others_trace_is_left_alone(tmp_path, mirror):
    script = """
cd /sys/kernel/tracing
echo p:users/probe dmirror_fault >kprobe_events; mkdir instances/users; echo 1 >events/users/probe/enable
state() { cat kprobe_events set_event tracing_on instances/users/set_event; ls instances; }
state >/before
/driver-calls test_hmm -- /driver-calls test_hmm -- /mirror orc
state >/after; cmp /before /after && echo same; grep -c . /before; grep -c probe: trace; grep -c faultline trace
"""
    lines = in_the_lab(tmp_path, script, mirror).stdout.splitlines()
    # Two counters at the same time count the same.
    assert counts(lines[:5]) == counts(lines[5:10]) and counts(lines[:5])["dmirror_fault"] == PAGES
    assert lines[10:] == ["same", "4", str(PAGES), "0"]


def test_what_a_killed_one_left(tmp_path, mirror):
    script = """
cd /sys/kernel/tracing
left() { ls instances | sed 's/[0-9].*/N/'; grep -c faultline kprobe_events; }
/driver-calls test_hmm -- sleep 5 & one=$!
/driver-calls test_hmm -- sleep 5 & two=$!
sleep 2; kill -9 $one; sleep 0.5; left
/driver-calls test_hmm -- /mirror orc
ls instances | grep -c "faultline_$two"; left
wait $two; left
"""
    lines = in_the_lab(tmp_path, script, mirror).stdout.splitlines()
    name, probes = "faultline_N", len(FUNCTIONS)
    assert lines[:3] == [name, name, str(2 * probes)]
    assert counts(lines[3:8])["dmirror_fault"] == PAGES
    # The instance and probes of the killed counter are gone. Those of the other remain until it ends, and it has counted what
    # ran meanwhile.
    assert lines[8:11] == ["1", name, str(probes)]
    assert counts(lines[11:16])["dmirror_fault"] == PAGES and lines[16:] == ["0"]


def test_where_nothing_can_be_counted(tmp_path):
    (tmp_path / "passwd").write_text("root:x:0:0::/:/bin/sh\nlab:x:1000:1000::/:/bin/sh\n")
    script = """
su -s /bin/sh lab -c '/driver-calls test_hmm -- echo ran'; echo $?
umount /sys/kernel/tracing; /driver-calls test_hmm -- true; echo $?
umount /sys/kernel/debug; /driver-calls test_hmm -- true; echo $?
"""
    done = in_the_lab(tmp_path, script, f"{tmp_path}/passwd:/etc/passwd")
    assert done.stdout.splitlines() == [
        "driver-calls: /sys/kernel/tracing/kprobe_events: Permission denied; run as root", "3",
        *[f"{name} 0 0" for name in FUNCTIONS], "0",  # in debugfs
        "driver-calls: there is no tracefs: mount -t tracefs tracefs /sys/kernel/tracing, on a kernel with "
        "CONFIG_KPROBE_EVENTS", "3"]


# --- The report of a run.

SCENARIO = """scenario counted
  "What a device and a CPU do with three pages."
device d: recoverable
process P
  a: 3 pages anon rw = 1
thread P.t on d
  r0 = load a[0]
  r1 = load a[0]
  migrate a to d
"""


def run(tmp_path, text, *words, **environment):
    path, journal = tmp_path / "one.scn", tmp_path / "journal"
    path.write_text(text)
    done = subprocess.run([ROOT / "build/faultline", "run", "--iterations", "25", "--json", journal, *words, path], text=True,
                          timeout=300, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | environment)
    return done, [json.loads(line) for line in journal.read_text().splitlines()]


def test_a_run_tells_the_counts(tmp_path):
    done, journal = run(tmp_path, SCENARIO, "-t", "lab:dmirror")
    assert done.returncode == 0, done
    end = next(record for record in journal if record["ev"] == "verdict")["calls"]
    calls = {function["name"]: function["calls"] for function in end["functions"]}
    assert [*calls] == FUNCTIONS and end["not_counted"] == [] and end["why_none"] == ""
    # The first load of each iteration faults. At its end the CPU looks at three pages at most.
    assert calls["dmirror_fault"] == calls["dmirror_migrate_to_device"] == 25
    assert calls["dmirror_migrate_to_system"] == 0 and calls["dmirror_devmem_fault"] <= PAGES * 25
    assert calls["dmirror_interval_invalidate"] >= 25  # for the memory that is unmapped
    line = next(line for line in done.stdout.splitlines() if line.startswith("Driver counted: "))
    assert line == "Driver counted: " + ", ".join(f"{each['what']} {each['calls']}" for each in end["functions"])
    assert "not counted" not in done.stderr


def test_a_run_without_a_driver_tells_nothing(tmp_path):
    text = 'scenario plain\n  "No device."\nprocess P\n  a: 1 page anon rw = 7\nthread P.t\n  r = load a[0]\n'
    done, journal = run(tmp_path, text, "-t", "lab:host")
    assert done.returncode == 0 and "Driver" not in done.stdout and "not counted" not in done.stderr
    assert all("calls" not in record and record["ev"] != "calls" for record in journal)
