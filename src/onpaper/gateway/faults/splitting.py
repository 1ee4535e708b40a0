"""The same bytes in other reads: torn apart anywhere, or many events in one.

A client that keeps up sees exactly these pieces, each in a read of its own (see `lockstep`).
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from onpaper.errors import BadInput
from onpaper.gateway.faults.events import named, position, positions
from onpaper.gateway.faults.table import fault
from onpaper.script import Script, Write


@fault("split")
def split(script: Script, *, at: list[int]) -> Script:
    """The body is also split at these byte positions, counted from its start."""
    size = len(script.body)
    beyond = [offset for offset in at if not 0 < offset < size]
    if beyond or not at:
        found = f"{beyond[0]}" if beyond else "no position"
        raise BadInput(f"the fault split wants positions inside the body of {size} bytes, found {found}")
    return _split(script, at, "split")


@fault("bytewise")
def bytewise(script: Script) -> Script:
    """Every byte of the body comes alone."""
    return _split(script, range(len(script.body)), "bytewise")


@fault("random-cuts")
def random_cuts(script: Script, *, seed: int, pieces: int | None = None) -> Script:
    """The body comes in so many pieces (one for each 20 bytes unless said), split at places that follow
    from the seed.
    """
    size = len(script.body)
    count = max(2, size // 20) if pieces is None else pieces
    if not 2 <= count <= size:
        raise BadInput(f"the fault random-cuts cannot make {count} pieces of a body of {size} bytes")
    cuts = random.Random(seed).sample(range(1, size), count - 1)
    whole = Write(script.body)
    pauses = [write for write in script.writes if write.after or write.fault or write.raw]
    return _split(script if pauses else replace(script, writes=(whole,)), cuts, "random-cuts")


@fault("split-in-chunk-frame")
def split_in_chunk_frame(script: Script, *, at: int | None = None) -> Script:
    """The HTTP chunk that carries event `at` (the middle one unless said) is torn inside its size line
    and its end.
    """
    if script.transfer != "chunked":
        raise BadInput(
            f"the fault split-in-chunk-frame needs a chunked reply, found transfer {script.transfer!r}"
        )
    number = position(script, at, "split-in-chunk-frame")
    event = script.writes[number]
    size_line = len(b"%x" % len(event.data))
    end = size_line + 2 + len(event.data)
    torn = replace(event, cuts=(size_line + 1, size_line + 2 + len(event.data) // 2, end + 1))
    writes = (*script.writes[:number], *named(torn, "split-in-chunk-frame"), *script.writes[number + 1 :])
    return replace(script, writes=writes, joined=False, lockstep=True)


@fault("coalesce")
def coalesce(script: Script, *, n: int = 0) -> Script:
    """So many events come in one write (all of them unless said), whatever pauses were between them."""
    if n < 0 or n == 1:
        raise BadInput(f"the fault coalesce wants n to be 2 or more, or 0 for all, found {n}")
    if len(positions(script)) < 2 or any(write.raw for write in script.writes):
        raise BadInput("the fault coalesce finds no two events in this reply")
    size = n or len(script.writes)
    events = [script.writes[number] for number in positions(script)]
    writes: list[Write] = []
    for start in range(0, len(events), size):
        group = events[start : start + size]
        merged = Write(b"".join(event.data for event in group), group[0].after)
        writes += [merged, *(Write(b"", fault=event.fault) for event in group if event.fault)]
    marks = [Write(b"", fault=write.fault) for write in script.writes if write.fault and not write.data]
    writes[:1] = named(writes[0], "coalesce")
    return replace(script, writes=(*writes, *marks), lockstep=True)


def _split(script: Script, cuts: Iterable[int], fault: str) -> Script:
    """Split the body at these offsets. Each piece keeps the place of its write; pauses come before the first
    piece, and a fault fires with the last."""
    if len(script.body) < 2:
        raise BadInput(f"the fault {fault} finds no body of two bytes or more")
    wanted = set(cuts)
    writes: list[Write] = []
    start = 0
    last = 0
    for write in script.writes:
        if write.raw or not write.data:
            writes.append(write)
            continue
        stop = start + len(write.data)
        edges = sorted({start, stop} | {cut for cut in wanted if start < cut < stop})
        pieces = [Write(write.data[a - start : b - start]) for a, b in pairwise(edges)]
        pieces[0] = replace(pieces[0], after=write.after)
        pieces[-1] = replace(pieces[-1], fault=write.fault)
        writes += pieces
        last = len(writes) - 1
        start = stop
    writes[last : last + 1] = named(writes[last], fault)
    return replace(script, writes=tuple(writes), joined=False, lockstep=True)
