"""Streams whose ending is not what the protocol says: no sentinel, no finish reason, data after the end."""

from __future__ import annotations

import re
from dataclasses import replace

from onpaper.errors import BadInput
from onpaper.gateway.faults.events import named, positions
from onpaper.gateway.faults.table import fault
from onpaper.script import Script, Write

SENTINEL = re.compile(rb'(?:^|[\r\n])data: ?\[DONE\](?:[\r\n]|$)|^\{.*"done": ?true')
"""The last event of a stream: `[DONE]` over SSE, the line with `"done": true` over NDJSON."""

FINISH = re.compile(rb'"(finish_reason|done_reason)"(\s*):(\s*)"[^"\\]*"')
"""Never matches inside a JSON string: there the quotes would be escaped."""


@fault("no-sentinel")
def no_sentinel(script: Script) -> Script:
    """The stream ends without its sentinel: no `[DONE]`, or no line that says `done`."""
    last = _sentinel(script, "no-sentinel")
    writes = (*script.writes[:last], Write(b"", fault="no-sentinel"), *script.writes[last + 1 :])
    return replace(script, writes=writes)


@fault("no-finish")
def no_finish(script: Script) -> Script:
    """No event says why the reply is over: every finish reason is null."""
    writes: list[Write] = []
    found = False
    for write in script.writes:
        data, count = FINISH.subn(rb'"\1"\2:\3null', write.data)
        writes += (
            named(replace(write, data=data), "no-finish")
            if count and not found
            else (replace(write, data=data),)
        )
        found = found or count > 0
    if not found:
        raise BadInput("the fault no-finish finds no finish reason in this reply")
    return replace(script, writes=tuple(writes))


@fault("after-done")
def after_done(script: Script, *, text: str = '{"late":true}') -> Script:
    """One more event with this text as its data follows the sentinel."""
    last = _sentinel(script, "after-done")
    sentinel = script.writes[last].data
    newline = b"\r\n" if sentinel.endswith(b"\r\n") else sentinel[-1:]
    event = text.encode() + newline
    if b"[DONE]" in sentinel:
        event = b"data: " + event + newline
    late = Write(event, fault="after-done")
    return replace(script, writes=(*script.writes[: last + 1], late, *script.writes[last + 1 :]))


def _sentinel(script: Script, fault: str) -> int:
    events = positions(script)
    for number in reversed(events[1:]):  # one event alone is a reply in one piece
        if SENTINEL.search(script.writes[number].data):
            return number
    raise BadInput(
        f"the fault {fault} finds no sentinel: this reply has no [DONE] and no line that says done"
    )
