"""Events that are broken, missing, doubled or out of order, in a stream that is otherwise whole."""

from __future__ import annotations

import re
from dataclasses import replace

from onpaper.errors import BadInput
from onpaper.gateway.faults.events import named, position, positions
from onpaper.gateway.faults.table import fault
from onpaper.script import Script, Write

LINE_END = re.compile(rb"[\r\n]*\Z")


@fault("malformed-event")
def malformed_event(script: Script, *, at: int | None = None) -> Script:
    """The JSON of event `at` (the middle one unless said) breaks off; the event itself is complete."""
    number = position(script, at, "malformed-event")
    event = script.writes[number]
    start = event.data.find(b"{")
    if start < 0:
        raise BadInput("the fault malformed-event finds no JSON object in that event")
    line_end = LINE_END.search(event.data)
    assert line_end is not None
    broken = event.data[: start + max(1, (line_end.start() - start) // 2)] + line_end.group()
    return _replaced(script, number, *named(replace(event, data=broken), "malformed-event"))


@fault("duplicate-event")
def duplicate_event(script: Script, *, at: int | None = None) -> Script:
    """Event `at` (the middle one unless said) comes twice."""
    number = position(script, at, "duplicate-event")
    event = script.writes[number]
    return _replaced(script, number, event, Write(event.data, fault="duplicate-event"))


@fault("reorder-events")
def reorder_events(script: Script, *, at: int | None = None) -> Script:
    """Event `at` (the middle one unless said) comes after the one that follows it."""
    number = position(script, at, "reorder-events")
    later = [other for other in positions(script) if other > number]
    if not later:
        raise BadInput("the fault reorder-events finds no event after that one")
    writes = list(script.writes)
    first, second = writes[number], writes[later[0]]
    if first.data == second.data:
        raise BadInput("the fault reorder-events finds two equal events, which have no order")
    writes[number] = replace(second, after=first.after)
    writes[later[0] : later[0] + 1] = named(replace(first, after=second.after), "reorder-events")
    return replace(script, writes=tuple(writes))


@fault("drop-event")
def drop_event(script: Script, *, at: int | None = None) -> Script:
    """Event `at` (the middle one unless said) is missing."""
    number = position(script, at, "drop-event")
    event = script.writes[number]
    gap = (replace(event, data=b""),) if event.fault else ()
    return _replaced(script, number, *gap, Write(b"", 0.0 if gap else event.after, fault="drop-event"))


def _replaced(script: Script, number: int, *writes: Write) -> Script:
    return replace(script, writes=(*script.writes[:number], *writes, *script.writes[number + 1 :]))
