"""Content codings (RFC 9110 §8.4)."""

from __future__ import annotations

import zlib
from dataclasses import replace

from onpaper.errors import BadInput
from onpaper.exchange import header
from onpaper.gateway.faults.events import own_head, positions, with_head_fault
from onpaper.gateway.faults.table import fault
from onpaper.script import Script, Write

GZIP_WINDOW = 16 + zlib.MAX_WBITS


@fault("gzip")
def gzip(script: Script) -> Script:
    """The body is gzip-coded, flushed after every event so that each can be decoded when it comes."""
    events = positions(script)
    coded_already = header(script.headers, "content-encoding")
    if coded_already:
        raise BadInput(f"the fault gzip finds that the reply is {coded_already}-coded already")
    if not events:
        raise BadInput("the fault gzip finds no body to code")
    if script.length is not None or any(write.raw for write in script.writes):
        raise BadInput(
            "the fault gzip changes the body and cannot follow a fault of its framing; put it first"
        )
    coder = zlib.compressobj(wbits=GZIP_WINDOW)
    writes: list[Write] = []
    for number, write in enumerate(script.writes):
        if not write.data:
            writes.append(write)
            continue
        whole = number == events[-1] and script.end == "clean"
        data = coder.compress(write.data) + coder.flush(zlib.Z_FINISH if whole else zlib.Z_SYNC_FLUSH)
        writes.append(replace(write, data=data))
    headers = (*own_head(script, "gzip").headers, ("content-encoding", "gzip"))
    return with_head_fault(replace(script, headers=headers, writes=tuple(writes)), "gzip")
