"""Reads traces of `faultline record` with distrust: anybody may have written them."""

import dataclasses
import errno
import json
import posixpath
import re


class BadTrace(Exception):
    """file:line:column: what is wrong."""


@dataclasses.dataclass
class Block:
    """A memory block: the argument, or what the pointers along the path of offsets lead to."""
    path: tuple
    bytes: bytes
    wanted: int
    filled: bool  # the kernel only writes there
    loose: list   # (offset, size, kind) of the fields that differ between two equal runs


@dataclasses.dataclass
class Answer:
    result: int
    error: int   # errno
    after: dict  # bytes by path: what the kernel wrote


@dataclasses.dataclass
class Ask:
    where: str
    number: int
    name: str
    followed: bool  # the recorder knew the pointers in the argument
    blocks: dict    # by path
    value: int      # the argument itself, if the request has no memory
    answer: Answer = None  # None: it never came


@dataclasses.dataclass
class Client:
    """One open() of a node."""
    where: str
    name: str
    node: str
    driver: str
    program: str
    inherited: bool
    asks: list = dataclasses.field(default_factory=list)
    answer: Answer = None


@dataclasses.dataclass
class Trace:
    machine: dict
    clients: list
    notes: list


NODE = r"/dev/(kfd|dri/(card|renderD)[0-9]{1,4})"
NAME = r"[\w:.+,@-]*\w[\w:.+,@-]*"  # of a folder or a file; not "." or ".."
DEVICE_LINES = re.compile("|".join((
    rf"P: /devices(/{NAME})+", r"N: (kfd|dri/(card|renderD)[0-9]{1,4})", r"E: \w+=[ -~]*",
    rf"L: (driver|device)=(\.\./)*({NAME}/)*{NAME}",
    rf"A: (dev|vendor|device|subsystem_vendor|subsystem_device|revision|class|power/runtime_status|topology/({NAME}/)*{NAME})="
    r"[ -~]*", "")), re.A)
LINKS = {"driver", "device", "subsystem"}  # nothing may be below them


class Line:
    """An object. Its methods check the types of the members."""

    def __init__(self, file, number, text):
        self.file, self.number, self.text = file, number, text
        try:
            self.members = json.loads(text)
        except json.JSONDecodeError as error:
            raise self.bad(f"no JSON: {error.msg}", error.colno) from None
        except (ValueError, RecursionError) as error:
            raise self.bad(f"no JSON: {error}") from None
        if not isinstance(self.members, dict):
            raise self.bad("not an object")

    def bad(self, what, column=1):
        return BadTrace(f"{self.file}:{self.number}:{column}: {what}")

    def column(self, name):
        return self.text.find(f'"{name}"') + 1 or 1

    def get(self, name, kind, *default):
        value = self.members.get(name, *default) if default else self.members.get(name)
        if name not in self.members and not default:
            raise self.bad(f"'{name}' is missing")
        if default and value is default[0]:
            return value
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.wrong(name, f"is no {kind.__name__}")
        return value

    def wrong(self, name, what):
        return self.bad(f"'{name}' {what}", self.column(name))

    def matching(self, name, pattern, *default):
        value = self.get(name, str, *default)
        if not re.fullmatch(pattern, value, re.A):
            raise self.wrong(name, f"is odd: {value[:80]!r}")
        return value

    def numeral(self, name):
        return int(self.matching(name, "0x[0-9a-f]{1,16}"), 16)

    def blocks(self):
        for each in self.get("memory", list, []):
            if not isinstance(each, dict):
                raise self.wrong("memory", "has an element that is no object")
            yield self.block(each)

    def block(self, members):
        path, filled = members.get("path"), members.get("filled", False)
        if not are_numbers(path) or len(path) > 8 or not isinstance(filled, bool):
            raise self.wrong("memory", "has an odd path")
        try:
            data = bytes.fromhex(members.get("bytes", "" if filled else None))
        except (TypeError, ValueError):
            raise self.wrong("memory", f"has bytes that are not hexadecimal, at {path}") from None
        wanted, loose = members.get("wanted", len(data)), members.get("loose", [])
        if not are_numbers([wanted]) or not isinstance(loose, list) or not all(are_loose(each) for each in loose):
            raise self.wrong("memory", f"has odd members, at {path}")
        return Block(tuple(path), data, wanted, filled, [tuple(each) for each in loose])


def are_numbers(values):
    return isinstance(values, list) and all(
        isinstance(each, int) and not isinstance(each, bool) and 0 <= each < 1 << 32 for each in values)


def are_loose(bounds):
    return isinstance(bounds, list) and len(bounds) == 3 and are_numbers(bounds[:2]) and isinstance(bounds[2], str)


class Reader:
    def __init__(self, file):
        self.file = file
        self.trace = Trace({}, [], [])
        self.clients, self.asks = {}, {}  # by name and by id; the latest one, because pids are reused

    def read(self, data):
        lines = data.split(b"\n")
        cut = lines.pop()
        for number, text in enumerate(lines, 1):
            self.read_line(number, text)
        if cut:
            self.trace.notes.append(f"{self.file}:{len(lines) + 1}: the last line is cut off, and left out")
        if not self.trace.machine:
            raise BadTrace(f"{self.file}:1:1: no trace of 'faultline record': it does not begin with a machine")
        return self.trace

    def read_line(self, number, text):
        try:
            line = Line(self.file, number, text.decode())
        except UnicodeDecodeError as error:
            raise BadTrace(f"{self.file}:{number}:{error.start + 1}: no UTF-8") from None
        event = line.get("ev", str)
        if (event == "machine") != (number == 1):
            raise line.bad("no trace of 'faultline record': it does not begin with a machine" if number == 1 else
                           "a second machine")
        if event not in ("machine", "gpus", "open", "ask", "answer", "events"):
            raise line.wrong("ev", f"is not known: {event[:80]!r}")
        getattr(self, event)(line)

    def machine(self, line):
        if line.get("trace", int) != 1:
            raise line.wrong("trace", "is a version that is not known here")
        check_devices(line, line.get("devices", str))
        for node, rights in line.get("nodes", dict).items():
            if not re.fullmatch(NODE, node) or not isinstance(rights, dict) or set(rights) != {"mode", "group"} or not (
                    re.fullmatch("[0-7]{4}", str(rights["mode"])) and re.fullmatch(r"[\w.-]+", str(rights["group"]), re.A)):
                raise line.wrong("nodes", f"has an odd one: {node[:80]!r}")
        for module, values in line.get("parameters", dict).items():
            if module not in ("amdgpu", "nouveau") or not isinstance(values, dict) or not all(
                    re.fullmatch(r"\w+", name, re.A) and isinstance(value, str) for name, value in values.items()):
                raise line.wrong("parameters", f"has odd ones, of {module[:80]!r}")
        for option, value in (line.get("kernel_config", dict, None) or {}).items():
            if not re.fullmatch(r"CONFIG_\w+", option, re.A) or not re.fullmatch(r"[ -~]*", str(value)):
                raise line.wrong("kernel_config", f"has an odd one: {option[:80]!r}")
        if not all(isinstance(word, str) for word in line.get("command", list)):
            raise line.wrong("command", "has an element that is no word")
        self.trace.machine = line.members

    def gpus(self, line):
        line.get("gpus", list, None)

    def events(self, line):
        """Events of KFD. They have addresses of the recorded process: for people to read, not replayed."""
        line.get("text", str)

    def open(self, line):
        client = Client(f"{self.file}:{line.number}", line.get("client", str), line.matching("node", NODE),
                        line.get("driver", str), line.get("program", str), line.get("inherited", bool, False))
        self.clients[client.name] = self.asks[line.get("id", str)] = client
        self.trace.clients.append(client)
        if client.inherited:
            self.trace.notes.append(f"{client.where}: {client.program} had {client.node} from another program: not replayed")

    def ask(self, line):
        client = self.clients.get(line.get("client", str))
        if client is None:
            raise line.wrong("client", "has opened nothing")
        blocks = {block.path: block for block in line.blocks()}
        if blocks and () not in blocks:
            raise line.wrong("memory", "lacks the argument")
        ask = Ask(f"{self.file}:{line.number}", line.numeral("number"), line.matching("name", r"\w*", ""),
                  line.get("followed", bool, True), blocks, 0 if blocks else line.numeral("value"))
        client.asks.append(ask)
        self.asks[line.get("id", str)] = ask

    def answer(self, line):
        asked = self.asks.pop(line.get("id", str), None)
        if asked is None:
            raise line.wrong("id", "belongs to no open and no request")
        result, name = line.get("result", int), line.matching("error", r"E\w+", "") if "error" in line.members else ""
        error = 0
        if result < 0:
            error = getattr(errno, name, None) or (int(name[1:]) if name[1:].isdecimal() else 0)
            if not 0 < error < 4096:
                raise line.wrong("error", f"is not known: {name[:80]!r}")
        if not -1 <= result < 1 << 31:
            raise line.wrong("result", "cannot come from a system call")
        asked.answer = Answer(result, error, {block.path: block.bytes for block in line.blocks()})
        if isinstance(asked, Ask) and not set(asked.answer.after) <= set(asked.blocks):
            raise line.wrong("memory", "is not memory of the request")


def check_devices(line, text):
    """umockdev makes files from these lines. No name and no link may lead outside its folder."""
    device, names = "", set()
    for number, each in enumerate(text.split("\n"), 1):
        odd = line.wrong("devices", f"has an odd line, its line {number}: {each[:80]!r}")
        if not DEVICE_LINES.fullmatch(each):
            raise odd
        kind, _, rest = each.partition(": ")
        if kind == "P":
            device, names = rest, set()
            if LINKS & set(device.split("/")):
                raise odd
        elif each and not device:
            raise odd
        name, _, value = rest.partition("=")
        if kind == "L":
            target = posixpath.normpath(posixpath.join("/sys" + device, value))
            if not target.startswith("/sys/") or posixpath.commonpath((target, "/sys")) != "/sys" or (
                    value.count("../") >= len(device.split("/")) or LINKS & set(value.split("/"))):
                raise odd
        if kind in ("L", "A") and (name in names or (name.split("/")[0] in LINKS and "/" in name)):
            raise odd
        if kind in ("L", "A"):
            names.add(name)


def read(path):
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise BadTrace(f"{path}: {error.strerror}") from None
    return Reader(path).read(data)
