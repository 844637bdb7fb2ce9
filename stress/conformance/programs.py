"""Random programs in which one thread runs at a time, and their scenario text.

A program (a Draft) is drawn as plain values: regions, and a list of statements that are independent of each other.
`script()` interprets the statements in order: which process runs one, which pages it uses, which process it ends.
strategies.py draws them. Such values shrink best. Hypothesis can remove any statement or make any number smaller, and the rest is still a program, and
mostly the same one. Nothing has to be filtered out or repaired. A RuleBasedStateMachine would make each draw depend on
the draws before, and would gain nothing: a program runs as a whole, not step by step.

Processes hand a token to each other at barriers, one barrier name for each child. The process with the token runs and
all others wait. So the statements run in the order of the list. One kind has two threads at once: a `held` access may wait
for user space (userfaultfd), and the thread with the token resolves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_STATEMENTS = 14
MOST_PROCESSES = 3
MOST_OBSERVES = 32  # harness/program.h: limits::observes
PROCESS_NAMES = "PCDE"
DEVICE_NAMES = "de"
REGION_NAMES = "abc"
PROTECTIONS = ("rw", "r", "-", "w")
HUGE = 512  # pages of a huge page
HUGE_REGION = 2 * HUGE
MOST_REQUESTED = 4  # pages of a device request in a huge region
MOST_HELD = 3  # each needs a thread and a barrier


@dataclass(frozen=True)
class Region:
    backing: str  # "anon", "shared", "stack", "none", "private f" or "shared f"
    pages: int
    protection: str = "rw"
    populated: bool = False

    @property
    def huge(self) -> bool:
        return self.pages >= HUGE

    def landmarks(self) -> tuple[int, ...]:
        """The pages that a program may name."""
        return (0, 3, HUGE - 1, HUGE) if self.huge else tuple(range(self.pages))

    def range(self, first: int, count: int) -> tuple[int, int]:
        """(first page, number of pages). In a huge region, count 1 means one page, 2 the rest of its huge page from there on,
        3 the whole huge page, more the whole region."""
        if not self.huge:
            first %= self.pages
            return first, min(count, self.pages - first)
        first = self.landmarks()[first % len(self.landmarks())]
        begin = first // HUGE * HUGE
        if count < 3:
            return first, 1 if count == 1 else begin + HUGE - first
        return (begin, HUGE) if count == 3 else (0, self.pages)


@dataclass(frozen=True)
class Statement:
    """script() takes each number modulo the number of choices at that moment."""

    kind: str
    who: int = 0
    region: int = 0
    first: int = 0
    count: int = 1
    to_region: int = 0
    to_first: int = 0
    protection: str = "rw"
    via: int = 0
    device: int = 0


@dataclass(frozen=True)
class Draft:
    regions: tuple[Region, ...]
    statements: tuple[Statement, ...]
    file: str = "memfd"  # the kind of the file f; the scenario has f only if something uses it
    file_pages: int = 3  # pages of f
    probe: bool = False  # at the end P's device loads from every page that was touched, last page first
    device_class: str = "recoverable"


# Values of Statement.kind: for every target, for every device, and for some devices only.
MAPPINGS = ("mmap anon", "mmap shared", "mmap stack", "mmap private f", "mmap shared f")
MOVES = ("mremap", "mremap dontunmap")
PLAIN_KINDS = ("load", "store", *MAPPINGS, "msync", "truncate", "munmap", "mprotect", "mremap", "mremap dontunmap", "dontneed",
               "dontfork", "hugepage", "populate-read", "populate-write", "wipeonfork", "keeponfork", "free", "pageout",
               "remove", "collapse", "fork", "exit", "kill")
FAILING_KINDS = ("to device fail", "to system fail")
REQUEST_KINDS = ("to device", "to system", *FAILING_KINDS, "snapshot", "exclusive", "check-exclusive", "pin", "pin read", "unpin")
ANY_DEVICE_KINDS = ("device load", "device store", "open", "close")
MIGRATION_KINDS = ("to device", "to system", "snapshot", "exclusive", "check-exclusive")
PIN_KINDS = ("pin", "pin read", "unpin")
DIRECT_KINDS = ("direct-read", "direct-write")
UFFD_CALLS = ("uffd-unregister", "uffd-copy", "uffd-zero", "uffd-protect", "uffd-unprotect", "uffd-wake")
UFFD_KINDS = ("uffd-register", *UFFD_CALLS, "held")
UFFD_MODES = ("both", "missing", "wp")
DEVICE_KINDS = ANY_DEVICE_KINDS + MIGRATION_KINDS + FAILING_KINDS + PIN_KINDS
KINDS = PLAIN_KINDS + DIRECT_KINDS + UFFD_KINDS + DEVICE_KINDS
NOT_ANON = {"mmap shared", "mmap stack", "mmap private f", "mmap shared f", "truncate"}  # not in a scenario with userfaultfd
ADVICES = ("dontneed", "dontfork", "hugepage", "populate-read", "populate-write", "wipeonfork", "keeponfork", "free",
           "pageout", "remove", "collapse")
MOST_FREED = 2  # pages: the kernel may take each of them at any time or never, and that multiplies the outcomes


def kinds_of(capabilities: dict) -> tuple[str, ...]:
    """The kinds of statements for a target with these capabilities (faultline.Machine.hello)."""
    migrates, pins = capabilities["migrate"] and capabilities["snapshot"], capabilities["pin"]
    return (PLAIN_KINDS + DIRECT_KINDS * capabilities["direct"] + UFFD_KINDS * capabilities["uffd"] + ANY_DEVICE_KINDS * (migrates or pins) +
            MIGRATION_KINDS * migrates + FAILING_KINDS * (migrates and capabilities["page_failures"]) + PIN_KINDS * pins)


def together(first: str, second: str) -> bool:
    """Whether a scenario can have statements of both kinds."""
    kinds = {first, second}
    return not (kinds & set(UFFD_KINDS) and kinds & NOT_ANON)


@dataclass
class _Process:
    name: str
    parent: "_Process | None"
    lines: list[str] = field(default_factory=list)
    alive: bool = True
    helpers: list[list[str]] = field(default_factory=list)  # the lines of its other threads
    opened: str = ""  # devices that it has opened itself
    pinned: list[tuple[int, int, int]] = field(default_factory=list)  # as _range() returns them

    @property
    def barrier(self) -> str:
        return "turn" + self.name

    def ancestors(self) -> list["_Process"]:
        """The process itself first."""
        return [self] + (self.parent.ancestors() if self.parent else [])


@dataclass
class Script:
    """An interpreted draft: the scenario text, and the statements that it really has."""

    text: str
    done: list[tuple[str, str, str]]  # kind, process, statement as text
    statements: int  # in the whole scenario, without barriers
    regions: tuple[Region, ...]


class _Writer:
    def __init__(self, draft: Draft):
        self.draft = draft
        self.root = _Process("P", None)
        self.processes = [self.root]
        self.holder = self.root
        self.done: list[tuple[str, str, str]] = []
        self.touched: dict[tuple[int, int], None] = {}
        self.freed = 0
        self.held = 0
        devices = [1 if s.device and s.kind not in PIN_KINDS else 0 for s in draft.statements if s.kind in DEVICE_KINDS]
        self.devices = max(devices, default=-1) + 1
        # Unless P has an `open` statement for a device, it has the device open before its threads start.
        own = {s.device for s in draft.statements if s.kind == "open" and self._is_root(s)}
        self.root.opened = "".join(name for i, name in enumerate(DEVICE_NAMES) if i not in own)

    def _is_root(self, statement: Statement) -> bool:
        return statement.who == 0

    # --- the token ---

    def _hand(self, child: _Process) -> None:
        """The token goes from a child to its parent, or from the parent to the child."""
        child.lines.append(f"barrier {child.barrier}")
        child.parent.lines.append(f"barrier {child.barrier}")

    def _give(self, to: _Process) -> None:
        while self.holder not in to.ancestors():
            self._hand(self.holder)
            self.holder = self.holder.parent
        below = to.ancestors()[: to.ancestors().index(self.holder)]
        for child in reversed(below):
            # If the parent has just forked this child, the child has the token without a barrier.
            if child.lines or child.parent.lines[-1:] != [f"fork {child.name}"]:
                self._hand(child)
            self.holder = child

    # --- statements ---

    def _say(self, kind: str, process: _Process, line: str) -> None:
        process.lines.append(line)
        self.done.append((kind, process.name, line))

    def _range(self, region: int, first: int, count: int) -> tuple[int, int, int]:
        region %= len(self.draft.regions)
        return region, *self.draft.regions[region].range(first, count)

    def _text(self, region: int, first: int, count: int) -> str:
        for page in self.draft.regions[region].landmarks():
            if first <= page < first + count:
                self.touched[region, page] = None
        name = REGION_NAMES[region]
        if count == self.draft.regions[region].pages:
            return name
        return f"{name}[{first}]" if count == 1 else f"{name}[{first}..{first + count - 1}]"

    def _cell(self, statement: Statement) -> str:
        region, first, _ = self._range(statement.region, statement.first, 1)
        self.touched[region, first] = None
        return f"{REGION_NAMES[region]}[{first}]"

    def _via(self, process: _Process, statement: Statement) -> str:
        """The process's own descriptor, if it has opened one, or an inherited one."""
        name = DEVICE_NAMES[statement.device]
        if self.draft.device_class == "pinned":  # a child cannot use its parent's descriptor
            return name
        openers = [p for p in process.ancestors() if name in p.opened or p is self.root]
        opener = openers[statement.via % len(openers)]
        return name if opener is process else f"{opener.name}.{name}"

    def _hold(self, process: _Process, statement: Statement, value: int) -> None:
        """An access by another thread. Whatever it may wait for, one of these resolves it."""
        if self.held == MOST_HELD:
            return
        self.held += 1
        barrier, cell = f"barrier held{self.held}", self._cell(statement)
        access = (f"store {cell} {value}", f"load {cell}", f"madvise {cell} populate-write")[statement.via % 3]
        process.helpers.append([barrier, access, barrier])
        # More wakes: the first may come before the store has joined the queue (Userfault::repeat_wakes).
        process.lines += [barrier, f"uffd-copy {cell} {value + 50}", f"uffd-unprotect {cell}", *[f"uffd-wake {cell}"] * 2,
                          barrier]
        self.done.append((statement.kind, process.name, access))

    def write(self, statement: Statement, value: int) -> None:
        alive = [p for p in self.processes if p.alive]
        process = alive[statement.who % len(alive)]
        kind = statement.kind
        if kind == "fork":
            if len(self.processes) == MOST_PROCESSES:
                return
            self._give(process)
            child = _Process(PROCESS_NAMES[len(self.processes)], process)
            self.processes.append(child)
            self._say(kind, process, f"fork {child.name}")
            return
        if kind in ("exit", "kill"):
            ends = [p for p in alive if p.parent and not any(q.parent is p for q in alive)]
            if not ends:
                return
            child = ends[statement.who % len(ends)]
            if kind == "exit":
                self._give(child)
                child.lines.append("exit")
            else:
                self._give(child.parent)
                child.parent.lines.append(f"kill {child.name}")
            self._say(kind, child.parent, f"wait {child.name}")
            child.alive = False
            self.holder = child.parent
            return
        pages = self._range(statement.region, statement.first, statement.count)
        if kind in REQUEST_KINDS and self.draft.regions[pages[0]].huge:
            pages = (*pages[:2], min(pages[2], MOST_REQUESTED))
        if kind == "free":
            pages = (*pages[:2], min(pages[2], MOST_FREED - self.freed))
            if pages[2] == 0:
                return
            self.freed += pages[2]
        self._give(process)
        if kind == "held":
            self._hold(process, statement, value)
            return
        if kind == "load":
            line = f"load {self._cell(statement)}"
        elif kind == "store":
            line = f"store {self._cell(statement)} {value}"
        elif kind == "direct-read":
            line = f"direct-read {self._cell(statement)} {value}"
        elif kind == "direct-write":
            line = f"direct-write {self._cell(statement)}"
        elif kind == "device load":
            line = f"load {self._cell(statement)} via {self._via(process, statement)}"
        elif kind == "device store":
            line = f"store {self._cell(statement)} {value} via {self._via(process, statement)}"
        elif kind in MAPPINGS:
            line = f"mmap {self._text(*pages)} {kind[5:]} {statement.protection}"
        elif kind in ("munmap", "msync"):
            line = f"{kind} {self._text(*pages)}"
        elif kind == "uffd-register":
            line = f"uffd-register {self._text(*pages)} {UFFD_MODES[statement.via % 3]}"
        elif kind == "uffd-copy":
            line = f"uffd-copy {self._cell(statement)} {value}"
        elif kind in UFFD_CALLS:
            line = f"{kind} {self._text(*pages)}"
        elif kind == "truncate":
            line = f"truncate f {statement.count}"
        elif kind == "mprotect":
            line = f"mprotect {self._text(*pages)} {statement.protection}"
        elif kind in MOVES:
            region, first, count = pages
            to_region, to_first, _ = self._range(statement.to_region, statement.to_first, 1)
            room = min(count, self.draft.regions[to_region].pages - to_first)
            source = self._text(region, first, min(count, room))
            self._text(to_region, to_first, min(count, room))
            line = f"mremap {source} -> {REGION_NAMES[to_region]}[{to_first}]{kind.removeprefix('mremap')}"
        elif kind in ADVICES:
            line = f"madvise {self._text(*pages)} {kind}"
        elif kind in ("to device", "to system", *FAILING_KINDS):
            to = DEVICE_NAMES[statement.device] if kind.startswith("to device") else "system"
            fail = f" fail {1 + statement.to_first % 4}" if kind in FAILING_KINDS else ""
            line = f"migrate {self._text(*pages)} to {to} via {self._via(process, statement)}{fail}"
        elif kind in ("snapshot", "exclusive", "check-exclusive"):
            line = f"{kind} {self._text(*pages)} via {self._via(process, statement)}"
        elif kind in PIN_KINDS:
            if kind != "unpin":
                process.pinned.append(pages)
            elif statement.via < len(process.pinned):  # mostly unpin something that was pinned
                pages = process.pinned[statement.via]
            line = f"{kind} {self._text(*pages)} via d"
        elif kind in ("open", "close"):
            line = f"{kind} {DEVICE_NAMES[statement.device]}"
            process.opened += DEVICE_NAMES[statement.device]
        else:
            raise ValueError(f"unknown kind {kind}")
        self._say(kind, process, line)

    # --- the end ---

    def probe(self) -> None:
        self._give(self.root)
        self.root.lines += [f"load {REGION_NAMES[region]}[{page}] via d" for region, page in sorted(self.touched)[::-1]]

    def _observes(self) -> list[str]:
        """Values, identities and locations of cells, touched ones first: a program may have more cells than observes."""
        cells = list(self.touched)
        cells += [(r, p) for r, region in enumerate(self.draft.regions) for p in region.landmarks()
                  if (r, p) not in self.touched]
        alive = [p for p in self.processes if p.alive]
        texts = []
        for region, page in cells:
            cell = f"{REGION_NAMES[region]}[{page}]"
            texts += [f"{p.name}:{cell}" for p in alive]
            texts += [f"same({p.parent.name}:{cell}, {p.name}:{cell})" for p in alive if p.parent]
            if self.draft.device_class == "recoverable":
                texts += [f"where({p.name}:{cell})" for p in alive]
        return texts[:MOST_OBSERVES]

    def finish(self) -> Script:
        lines = ["scenario conformance"]
        lines += [f"device {name}: {self.draft.device_class}" for name in DEVICE_NAMES[: self.devices]]
        for process in self.processes:
            lines.append(f"process {process.name}")
            if process is self.root:
                uses_file = [r for r in self.draft.regions if r.backing.endswith(" f")] or [
                    s for s in self.done if s[0].endswith(" f") or s[0] == "truncate"]
                if uses_file:
                    lines.append(f"  {self.draft.file} f: {self.draft.file_pages} pages")
                for i, region in enumerate(self.draft.regions):
                    line = f"  {REGION_NAMES[i]}: {region.pages} page{'s' * (region.pages > 1)} {region.backing}"
                    if region.backing != "none":
                        line += f" {region.protection}"
                        fits = not region.backing.endswith(" f") or region.pages <= self.draft.file_pages
                        if region.populated and fits:
                            line += f" = {100 + i}"
                    lines.append(line)
            lines += ["  " + line for line in process.lines]
            for number, helper in enumerate(process.helpers):
                lines += [f"thread {process.name}.h{number}", *("  " + line for line in helper)]
        observes = self._observes()
        for i in range(0, len(observes), 6):
            lines.append("observe " + " ".join(observes[i:i + 6]))
        count = sum(not line.startswith("barrier") for p in self.processes for line in p.lines)
        return Script("\n".join(lines) + "\n", self.done, count, self.draft.regions)


def script(draft: Draft) -> Script:
    """Interprets a draft."""
    writer = _Writer(draft)
    for number, statement in enumerate(draft.statements, start=1):
        writer.write(statement, number)  # every store has a value of its own
    if draft.probe and writer.devices and writer.done:
        writer.probe()
    return writer.finish()


def is_too_large(error: ValueError) -> bool:
    """Whether the only reason for a faultline.ParseError is that mremap()s of huge regions cut each other too often, or that there are
    too many operations, with those that held accesses need. Only the language knows the limits: do not count here a second time."""
    return any(f"too many {what}" in str(error) for what in ("pages and ranges", "operations of all threads"))


def waits_for_ever(error: ValueError) -> bool:
    """Whether a faultline.ParseError says that nobody resolves a userfault: the statements are drawn without a look at that."""
    return "wait for ever" in str(error)
