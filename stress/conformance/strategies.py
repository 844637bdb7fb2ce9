"""Draws programs of programs.py."""

from __future__ import annotations

from hypothesis import strategies as st

from programs import (ADVICES, DEVICE_KINDS, HUGE_REGION, MAPPINGS, MOST_STATEMENTS, MOVES, NOT_ANON, PROTECTIONS, REQUEST_KINDS,
                      UFFD_KINDS, Draft, Region, Statement)

# Mostly the same few pages, so that statements meet.
_page = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 4))
_region = st.sampled_from((0, 0, 0, 1, 1, 2))
_who = st.sampled_from((0, 0, 0, 1, 1, 2))
_device = st.sampled_from((0, 0, 0, 1))
_protections = st.sampled_from(PROTECTIONS)


def _statement(kind: str) -> st.SearchStrategy[Statement]:
    if kind in ("open", "close"):
        return st.builds(Statement, kind=st.just(kind), who=_who, device=_device)
    if kind in ("fork", "exit", "kill"):
        return st.builds(Statement, kind=st.just(kind), who=_who)
    fields = {"kind": st.just(kind), "who": _who, "region": _region, "first": _page}
    if kind == "truncate":
        return st.builds(Statement, kind=st.just(kind), who=_who, count=st.integers(0, 5))
    if kind in (*ADVICES, *MAPPINGS, "msync", "munmap", "mprotect", *MOVES, *REQUEST_KINDS, *UFFD_KINDS):
        fields["count"] = st.sampled_from((1, 1, 2, 2, 3, 5))
    if kind in (*MAPPINGS, "mprotect"):
        fields["protection"] = _protections
    if kind in MOVES:
        fields |= {"to_region": _region, "to_first": _page}
    if kind in (*DEVICE_KINDS, "uffd-register", "held"):
        fields["via"] = st.integers(0, 2)
    if kind in DEVICE_KINDS:
        fields["device"] = _device
    return st.builds(Statement, **fields)


# How often each kind is drawn. Loads and stores are frequent: they show what the others did.
_weights = {"load": 4, "store": 5, "mmap anon": 2, "mmap shared": 2, "mmap stack": 2, "mmap private f": 2,
            "mmap shared f": 2,
            "msync": 1, "truncate": 3, "remove": 2, "collapse": 1, "munmap": 2, "mprotect": 3, "mremap": 2, "mremap dontunmap": 2,
            "dontneed": 2, "dontfork": 1, "hugepage": 1, "populate-read": 1, "populate-write": 2, "wipeonfork": 2,
            "keeponfork": 1, "free": 2, "pageout": 1, "fork": 4, "exit": 1, "kill": 1,
            "direct-read": 3, "direct-write": 2}
_device_weights = {"device load": 5, "device store": 5, "to device": 4, "to system": 2,
                   "to device fail": 3, "to system fail": 1, "snapshot": 4, "exclusive": 3,
                   "check-exclusive": 2, "open": 1, "close": 1, "pin": 7, "pin read": 2, "unpin": 3}

# In programs with userfaultfd. Few plain accesses: one that waits for user space has nobody who resolves it.
_uffd_weights = {"uffd-register": 16, "uffd-unregister": 2, "uffd-copy": 5, "uffd-zero": 3, "uffd-protect": 6,
                 "uffd-unprotect": 2, "uffd-wake": 1, "held": 16, "load": 1, "store": 1, "direct-read": 1, "direct-write": 1,
                 "populate-read": 1, "populate-write": 1, "free": 1}

# Used in addition, in programs with huge regions.
_huge_weights = {"hugepage": 6, "collapse": 6}


def _statements(weights: dict[str, int]) -> st.SearchStrategy[Statement]:
    kinds = [kind for kind, weight in weights.items() for _ in range(weight)]
    by_kind = {kind: _statement(kind) for kind in weights}
    return st.sampled_from(kinds).flatmap(by_kind.__getitem__)


_backings = st.sampled_from(("anon", "anon", "anon", "shared", "stack", "none", "private f", "shared f"))


def _some_regions(pages: st.SearchStrategy[int], least: int, most: int,
                  backings: st.SearchStrategy[str] = _backings) -> st.SearchStrategy[tuple[Region, ...]]:
    region = st.builds(Region, backing=backings, pages=pages, protection=st.sampled_from(("rw", "rw", "rw", "r", "-", "w")),
                       populated=st.booleans())
    return st.lists(region, min_size=least, max_size=most).map(tuple)


def drafts(kinds: tuple[str, ...], device_class: str = "recoverable",
           around: tuple[str, str] | None = None) -> st.SearchStrategy[Draft]:
    """Programs with these kinds of statements, for a target of this class. `around`: two statements that are neighbours in
    each program. A third of the programs have regions in which huge pages fit, another third userfaultfd, if the target has it."""
    weights = _weights | _device_weights
    uffd = tuple(kind for kind in kinds if kind not in NOT_ANON)
    anon = _some_regions(st.integers(2, 5), 2, 3, st.sampled_from(("anon", "anon", "anon", "none")))
    held = _drafts(uffd, device_class, around, weights | _uffd_weights, anon)
    if set(around or ()) & set(UFFD_KINDS):
        return held
    plain = tuple(kind for kind in kinds if kind not in UFFD_KINDS)
    small = _drafts(plain, device_class, around, weights, _some_regions(st.integers(2, 5), 2, 3))
    pages = st.sampled_from((HUGE_REGION, HUGE_REGION, 4))
    huge = _drafts(plain, device_class, around, weights | _huge_weights, _some_regions(pages, 2, 2))
    # Some pairs are not for programs with userfaultfd.
    return st.one_of(small, huge, held) if uffd != plain and not around else st.one_of(small, huge)


def _drafts(kinds: tuple[str, ...], device_class: str, around: tuple[str, str] | None, weights: dict[str, int],
            regions: st.SearchStrategy[tuple[Region, ...]]) -> st.SearchStrategy[Draft]:
    statement = _statements({kind: weights[kind] for kind in kinds})
    device = "device load" in kinds
    # The longer ones second: shrinking prefers the first branch.
    statements = st.one_of(st.lists(statement, min_size=1, max_size=MOST_STATEMENTS),
                           st.lists(statement, min_size=8, max_size=MOST_STATEMENTS))
    if around:
        # Some pairs need other processes, and there are none without fork().
        forks = st.lists(_statement("fork"), min_size=1, max_size=2)
        before = st.one_of(st.lists(statement, max_size=4), forks)
        pair = st.tuples(*map(_statement, around)).map(list)
        statements = st.builds(lambda *parts: sum(parts, []), before, pair, st.lists(statement, max_size=4))
    return st.builds(Draft, regions=regions, statements=statements.map(tuple), file=st.sampled_from(("memfd", "file")),
                     file_pages=st.integers(0, 5), probe=st.booleans() if device else st.just(False),
                     device_class=st.just(device_class))
