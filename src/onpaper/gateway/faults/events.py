"""The events of a script, for the faults that act on one of them.

A script made from a mock has one write for each SSE event or NDJSON line; a reply in one piece is one
event. Events are numbered from 0, negative numbers count from the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onpaper.errors import BadInput
from onpaper.exchange import End
from onpaper.script import Script, Write


def positions(script: Script) -> list[int]:
    """Where in `script.writes` the events are; a write without data is no event."""
    return [number for number, write in enumerate(script.writes) if write.data]


def position(script: Script, at: int | None, fault: str) -> int:
    """Where in `script.writes` event `at` is; None is the one in the middle. Raises BadInput if there is
    none.
    """
    events = positions(script)
    if not events:
        raise BadInput(f"the fault {fault} finds no event: this reply has no body")
    if at is None:
        return events[len(events) // 2]
    try:
        return events[at]
    except IndexError:
        last = len(events) - 1
        raise BadInput(
            f"the fault {fault} finds no event {at}: this reply has those from 0 to {last}"
        ) from None


def named(write: Write, fault: str) -> tuple[Write, ...]:
    """The write, carrying out this fault as well: with a mark behind it if it already carries out another."""
    if write.fault:
        return (write, Write(b"", fault=fault))
    return (replace(write, fault=fault),)


def with_head_fault(script: Script, fault: str) -> Script:
    """The script, whose head carries out this fault as well."""
    if script.head_fault:
        return replace(script, writes=(Write(b"", fault=fault), *script.writes))
    return replace(script, head_fault=fault)


def own_head(script: Script, fault: str) -> Script:
    """The script, if its head is still made from its headers. Raises BadInput if a fault gave the bytes
    already.
    """
    if script.head is not None:
        given = script.head_fault or "the script"
        raise BadInput(
            f"the fault {fault} changes the head, whose bytes {given} gave already; put it before that"
        )
    return script


def with_writes(script: Script, writes: Sequence[Write]) -> Script:
    """The script with other writes and an unchanged announcement of its length, so that a cut body shows."""
    announced = script.length
    if script.transfer == "length" and announced is None:
        announced = len(script.body)
    return replace(script, writes=tuple(writes), length=announced)


def ending(script: Script, end: End, fault: str, writes: Sequence[Write] | None = None) -> Script:
    """The script, ending like this (after these writes, if given). Raises BadInput if it has a bad ending
    already.
    """
    if script.end != "clean":
        given = script.end_fault or script.end
        raise BadInput(f"the fault {fault} cannot end a reply that {given} ends already; keep one of them")
    if writes is not None:
        script = replace(script, writes=tuple(writes)) if end == "clean" else with_writes(script, writes)
    return replace(script, end=end, end_fault=fault, end_after=0.0)


ENDS: dict[str, End] = {"cut": "cut", "clean": "clean", "reset": "reset", "hang": "hang"}


def chosen_end(end: str, fault: str) -> End:
    """The ending of that name. Raises BadInput for any other."""
    if end not in ENDS:
        raise BadInput(f"the fault {fault} wants end to be one of {', '.join(ENDS)}, found {end!r}")
    return ENDS[end]
