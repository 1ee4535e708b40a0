"""Content codings (RFC 9110 §8.4)."""

from __future__ import annotations

from dataclasses import replace

from onpaper.errors import BadInput
from onpaper.exchange import header
from onpaper.gateway.faults.events import own_head, positions, with_head_fault
from onpaper.gateway.faults.table import fault
from onpaper.script import Script, Write
from onpaper.wire.coding import CODERS


@fault("gzip")
def gzip(script: Script) -> Script:
    """The body is gzip-coded, flushed after every event so that each can be decoded when it comes."""
    return with_head_fault(coded(script, "gzip"), "gzip")


def coded(script: Script, coding: str) -> Script:
    """The script with its body in a coding (`gzip`, `deflate`, `br` or `zstd`), event by event.

    Raises BadInput where there is no body, or one that cannot be coded any more.
    """
    events = positions(script)
    coded_already = header(script.headers, "content-encoding")
    if coded_already:
        raise BadInput(f"the fault {coding} finds that the reply is {coded_already}-coded already")
    if not events:
        raise BadInput(f"the fault {coding} finds no body to code")
    if script.length is not None or any(write.raw for write in script.writes):
        raise BadInput(
            f"the fault {coding} changes the body and cannot follow a fault of its framing; put it first"
        )
    coder = CODERS[coding]()
    writes: list[Write] = []
    for number, write in enumerate(script.writes):
        data = coder.feed(write.data) if write.data else b""
        if number == events[-1] and script.end == "clean":
            data += coder.end()
        writes.append(replace(write, data=data))
    headers = (*own_head(script, coding).headers, ("content-encoding", coding))
    return replace(script, headers=headers, writes=tuple(writes))
