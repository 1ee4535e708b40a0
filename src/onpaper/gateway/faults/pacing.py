"""Late and uneven replies. All times are in seconds."""

from __future__ import annotations

import random
from dataclasses import replace

from onpaper.errors import BadInput
from onpaper.gateway.faults.events import ending, named, position, positions, with_head_fault
from onpaper.gateway.faults.table import fault
from onpaper.script import Script, Write


@fault("latency-head")
def latency_head(script: Script, *, seconds: float) -> Script:
    """The status line and the headers come so many seconds later."""
    return with_head_fault(replace(script, head_after=script.head_after + seconds), "latency-head")


@fault("latency-first")
def latency_first(script: Script, *, seconds: float) -> Script:
    """The first event comes so many seconds later, after the head is out."""
    first = position(script, 0, "latency-first")
    writes = list(script.writes)
    writes[first : first + 1] = named(_later(writes[first], seconds), "latency-first")
    return replace(script, writes=tuple(writes))


@fault("latency-between")
def latency_between(script: Script, *, seconds: float) -> Script:
    """Every event after the first comes so many seconds later."""
    count = len(positions(script)) - 1
    return _spread(script, [seconds] * count, "latency-between")


@fault("jitter")
def jitter(script: Script, *, seed: int, low: float, high: float) -> Script:
    """Every event after the first comes between `low` and `high` seconds later, the same for the same
    seed.
    """
    if low > high:
        raise BadInput(f"the fault jitter wants low to be at most high, found {low} and {high}")
    chance = random.Random(seed)
    count = len(positions(script)) - 1
    return _spread(script, [chance.uniform(low, high) for _ in range(count)], "jitter")


@fault("stall")
def stall(script: Script, *, at: int | None = None) -> Script:
    """The reply stops before event `at` (the middle one unless said) and nothing more ever comes."""
    return ending(script, "hang", "stall", script.writes[: position(script, at, "stall")])


def _later(write: Write, seconds: float) -> Write:
    return replace(write, after=write.after + seconds)


def _spread(script: Script, pauses: list[float], fault: str) -> Script:
    """Put these pauses before the events from the second on; the fault fires with the first of them."""
    if not pauses:
        raise BadInput(f"the fault {fault} finds no two events: this reply has {len(positions(script))}")
    pause_before = dict(zip(positions(script)[1:], pauses, strict=False))
    writes: list[Write] = []
    for number, write in enumerate(script.writes):
        if number not in pause_before:
            writes.append(write)
            continue
        late = _later(write, pause_before[number])
        writes += named(late, fault) if number == min(pause_before) else (late,)
    return replace(script, writes=tuple(writes))
