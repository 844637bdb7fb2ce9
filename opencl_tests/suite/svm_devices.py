"""Finds the OpenCL devices. A separate process loads the drivers, because they may crash or hang."""

import ctypes
import difflib
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = pathlib.Path(os.environ.get("FAULTLINE_BUILD", ROOT / "build")) / "python"
SHORT = {"portable computing language": "pocl", "rusticl": "rusticl", "nvidia cuda": "nvidia",
         "amd accelerated parallel processing": "amd", "clover": "clover"}


def module():
    """Imports faultline_opencl. Never call this in the process that forks the tests: only its children may use a driver."""
    if str(MODULES) not in sys.path:
        sys.path.insert(0, str(MODULES))
    import faultline_opencl
    return faultline_opencl


def icd_files():
    """The files that tell the loader its drivers (libOpenCL(7): OCL_ICD_VENDORS, OPENCL_VENDOR_PATH)."""
    vendors = os.environ.get("OCL_ICD_VENDORS") or os.environ.get("OPENCL_VENDOR_PATH") or "/etc/OpenCL/vendors"
    path = pathlib.Path(vendors)
    if path.suffix == ".icd" and "/" not in vendors:
        path = pathlib.Path("/etc/OpenCL/vendors") / vendors
    return sorted(path.glob("*.icd")) if path.is_dir() else [path]


def driver_problems():
    """A line for each driver that the loader cannot load: the loader itself is silent about it."""
    problems = []
    for file in icd_files():
        try:
            library = file.read_text().split("\n")[0].strip() if file.suffix == ".icd" else str(file)
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{file}: cannot be read ({error})")
            continue
        try:
            ctypes.CDLL(library)
        except OSError as error:
            problems.append(f"{file} names {library}, which does not load: {error}; install it or remove the file")
    return problems


def named_devices(platforms):
    """Devices by our names: pocl-0, pocl-1, rusticl-0."""
    devices, counts = {}, {}
    for platform in platforms:
        short = SHORT.get(platform.name.lower(), platform.name.lower().split()[0])
        for device in platform.devices:
            number = counts[short] = counts.get(short, -1) + 1
            devices[f"{short}-{number}"] = device
    return devices


def peers(platforms, device):
    """All devices of the device's platform, the device itself first."""
    for platform in platforms:
        if device in platform.devices:
            return [device] + [each for each in platform.devices if each != device]
    return [device]


def tell():
    """Prints what the loader and the drivers say, for find()."""
    print(json.dumps({"problems": driver_problems(), "devices": []}), flush=True)
    devices = named_devices(module().platforms())
    print(json.dumps({"problems": [], "devices": [
        {"id": name, "device": device.name, "driver": device.driver, "version": device.version, "svm": device.svm}
        for name, device in devices.items()]}), flush=True)


def find(deadline=60):
    """Returns devices (dicts) and problems (lines), even if a driver crashes or hangs."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        out, err = process.communicate(timeout=deadline)
        ended = f"ended with exit status {process.returncode}" if process.returncode else ""
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        ended = f"did not answer within {deadline} s"
    problems, devices = [], []
    for line in out.splitlines():
        if line.startswith('{"problems"'):
            told = json.loads(line)
            problems += told["problems"]
            devices = told["devices"]
    if ended:
        last = (err.strip().splitlines() or ["no word"])[-1]
        problems.append(f"the process that asks the drivers for their devices {ended}: {last}")
    elif not devices:
        problems.append("no OpenCL device: install a driver, such as pocl-opencl-icd, or let OCL_ICD_VENDORS name one")
    return devices, problems


def choose(devices, asked):
    """The devices with these names (all, if no name is given), and a line for each unknown name."""
    if not asked:
        return devices, []
    there = [device["id"] for device in devices]
    missing = []
    for name in asked:
        if name not in there:
            near = difflib.get_close_matches(name, there, 1)
            hint = f"did you mean '{near[0]}'?" if near else "there are " + (", ".join(there) or "none")
            missing.append(f"unknown OpenCL device '{name}'; {hint}")
    return [device for device in devices if device["id"] in asked], missing


if __name__ == "__main__":
    tell()
