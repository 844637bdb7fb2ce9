#!/usr/bin/python3
"""Makes headers of the registers of a Vega20, from the amdgpu driver in Debian's package linux-source.

  registers.py OUT.inc NAMES.inc      ninja runs it

OUT.inc has, for each block, a namespace with the offset of every register in dwords of BAR5 (mmhub::VM_L2_CNTL), and the
fields of those that the model looks into (mmhub::VM_L2_CNTL__ENABLE_L2_CACHE). NAMES.inc has a table of offsets and names,
in order. Exit code: 0 done, 2 bad usage, 4 the kernel's source is not there.
"""

import pathlib
import re
import sys
import tarfile

FROM = "/usr/src"
AMD = "drivers/gpu/drm/amd/"
IP_OFFSETS = AMD + "include/vega20_ip_offset.h"
# The namespace, the block's name in vega20_ip_offset.h, and the headers of the version that a Vega20 has.
BLOCKS = [
    ("mmhub", "MMHUB", "mmhub/mmhub_1_0"), ("gc", "GC", "gc/gc_9_0"), ("sdma0", "SDMA0", "sdma0/sdma0_4_2"),
    ("sdma1", "SDMA1", "sdma1/sdma1_4_2"), ("osssys", "OSSSYS", "oss/osssys_4_2_0"), ("nbio", "NBIO", "nbio/nbio_7_4"),
    ("hdp", "HDP", "hdp/hdp_4_0"), ("athub", "ATHUB", "athub/athub_1_0"), ("df", "DF", "df/df_3_6"), ("mp0", "MP0", "mp/mp_9_0"),
]
# Registers whose fields are of interest: all would be 60,000.
FIELDS = re.compile(r"(VM_(CONTEXT\d+_CNTL|L2_PROTECTION_FAULT_\w+|INVALIDATE_ENG0_\w+)|IH_\w+|SDMA\d_(GFX_\w+|F32_CNTL|STATUS_REG)|"
                    r"CP_(HQD|RB|ME|MEC|MQD)\w*|GRBM_GFX_CNTL|RLC_SAFE_MODE|RCC_\w*MEMSIZE|ATC_VMID0_PASID_MAPPING)")
OFFSET = re.compile(r"^#define\s+mm(\w+)\s+(0x[0-9a-fA-F]+)\s*$", re.MULTILINE)
SEGMENT = re.compile(r"^#define\s+mm(\w+)_BASE_IDX\s+(\d+)\s*$", re.MULTILINE)
FIELD = re.compile(r"^#define\s+(\w+?)__(\w+)__SHIFT\s+(0x[0-9a-fA-F]+)", re.MULTILINE)
MASK = re.compile(r"^#define\s+(\w+?)__(\w+)_MASK\s+(0x[0-9a-fA-F]+)L?", re.MULTILINE)
BASE = re.compile(r"IP_BASE\s+(\w+)_BASE\s*=\s*\{\s*\{\s*\{\s*\{([^}]*)\}")


def wanted():
    headers = [f"{AMD}include/asic_reg/{where}_{kind}.h" for _, _, where in BLOCKS for kind in ("offset", "sh_mask")]
    return [IP_OFFSETS, *headers]


def from_archive(path):
    """The wanted headers of a source archive: reads no further than it must."""
    left, texts = set(wanted()), {}
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            if name in left:
                texts[name] = archive.extractfile(member).read().decode()
                left.remove(name)
                if not left:
                    return texts
    raise SystemExit(f"registers.py: {path} has no {sorted(left)[0]}")


def sources():
    archives = sorted(pathlib.Path(FROM).glob("linux-source-*.tar.*"))
    if not archives:
        sys.stderr.write(f"registers.py: there is no {FROM}/linux-source-*.tar.xz, which has the registers' names: "
                         "install the package linux-source (ci/setup does)\n")
        sys.exit(4)
    return from_archive(archives[0])


def bases(text):
    """Of each block its segments."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return {name: [int(each, 0) for each in numbers.split(",")] for name, numbers in BASE.findall(text)}


def registers(text, segments):
    """Of a header of offsets: {name: offset in dwords}."""
    of = {name: int(index) for name, index in SEGMENT.findall(text)}
    return {name: segments[of[name]] + int(value, 16) for name, value in OFFSET.findall(text) if of.get(name, len(segments)) < len(segments)}


def fields(text):
    """Of a header of masks: {REGISTER__FIELD: (shift, mask)}."""
    masks = {(register, field): int(mask, 16) for register, field, mask in MASK.findall(text)}
    return {f"{register}__{field}": (int(shift, 16), masks[register, field]) for register, field, shift in FIELD.findall(text)
            if FIELDS.fullmatch(register) and (register, field) in masks}


def made(texts):
    """The two files."""
    segments, out, names = bases(texts[IP_OFFSETS]), [], {}
    for namespace, block, where in BLOCKS:
        offsets = registers(texts[f"{AMD}include/asic_reg/{where}_offset.h"], segments[block])
        out.append(f"namespace {namespace} {{")
        out += [f"inline constexpr unsigned {name} = {offset:#x};" for name, offset in offsets.items()]
        found = fields(texts[f"{AMD}include/asic_reg/{where}_sh_mask.h"])
        out += [f"inline constexpr Field {name}{{{shift}, {mask:#x}u}};" for name, (shift, mask) in found.items()]
        out.append("}")
        for name, offset in offsets.items():
            names.setdefault(offset, f"{namespace}::{name}")
    return "\n".join(out) + "\n", "".join(f'{{{offset:#x}, "{name}"}},\n' for offset, name in sorted(names.items()))


def main(arguments):
    if len(arguments) != 2:
        sys.stderr.write(__doc__)
        return 2
    for path, text in zip(arguments, made(sources()), strict=True):
        pathlib.Path(path).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
