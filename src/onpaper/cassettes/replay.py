"""A recorded exchange made into a script, so that the gateway or respx can say again what was said."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal

from onpaper.exchange import SILENT, Chunk, End, Exchange, Reply
from onpaper.script import Script, Transfer, Write
from onpaper.wire.coding import coding_of, is_plain

_HOP_BY_HOP = frozenset(
    [
        *("connection", "content-length", "keep-alive", "proxy-authenticate", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    ]
)
"""Headers about one connection or its framing (RFC 9110 §7.6.1), which whoever plays the script decides."""


Cut = Literal["recorded", "whole", "bytes"] | int | Sequence[int]
"""How a body comes in pieces: as `recorded`, `whole`, all `bytes` alone, so many bytes at a time, or cut at these
offsets."""


def script_of(exchange: Exchange, speed: float | None = None, cut: Cut = "recorded") -> Script:
    """The reply of an exchange as a script: same status, headers, body and ending.

    `speed` 1 keeps the recorded times, 2 halves them; None plays at once. `cut` says in which pieces the body
    comes; a piece is due when its first byte was. The transfer coding is the recorded one; the content coding is that
    of the body, which many recorders decode under a header that still names one, or under none. A recording that
    ended because the client gave up waiting plays as a server that keeps silent. Raises ValueError when the
    exchange has no reply, the speed is not positive or the cut is none.
    """
    reply = exchange.reply
    if reply is None:
        raise ValueError(f"{exchange.source or 'the exchange'} has no reply to play; record it again")
    if speed is not None and not speed > 0:
        raise ValueError(f"the speed of a replay must be above 0 (1 is as recorded), found {speed}")
    transfer = _transfer(reply)
    named = (reply.header("content-encoding") or "").strip().lower()
    coding = coding_of(named, reply.body)
    wrong = is_plain(reply.body, coding) or coding != named
    left_out = _HOP_BY_HOP | ({"content-encoding"} if wrong else set())
    again = (("content-encoding", coding),) if coding != named else ()
    return Script(
        status=reply.status,
        reason=reply.reason,
        headers=(*((name, value) for name, value in reply.headers if name.lower() not in left_out), *again),
        writes=_writes(_pieces(reply, cut), speed),
        end=_end(reply.end),
        transfer=transfer,
        length=_announced(reply) if transfer == "length" else None,
    )


def _pieces(reply: Reply, cut: Cut) -> Sequence[Chunk]:
    """The body in pieces, each with the time of its first byte."""
    if cut == "recorded":
        return reply.chunks
    body = reply.body
    edges = [0, *_offsets(cut, len(body)), len(body)]
    starts = list(accumulate((len(chunk.data) for chunk in reply.chunks), initial=0))
    return [
        Chunk(reply.chunks[bisect_right(starts, start) - 1].at, body[start:stop])
        for start, stop in pairwise(edges)
        if start < stop
    ]


def _offsets(cut: Cut, size: int) -> Sequence[int]:
    if cut == "whole":
        return ()
    if cut == "bytes":
        return range(1, size)
    if isinstance(cut, int) and cut > 0:
        return range(cut, size, cut)
    if isinstance(cut, Sequence) and not isinstance(cut, str) and all(isinstance(one, int) for one in cut):
        return sorted({one for one in cut if 0 < one < size})
    raise ValueError(
        f"a cut is 'recorded', 'whole', 'bytes', a number of bytes or a list of offsets, found {cut!r}"
    )


def _writes(pieces: Sequence[Chunk], speed: float | None) -> tuple[Write, ...]:
    writes, previous = [], 0.0
    for chunk in pieces:
        writes.append(Write(chunk.data, after=max(0.0, chunk.at - previous) / speed if speed else 0.0))
        previous = chunk.at
    return tuple(writes)


def _transfer(reply: Reply) -> Transfer:
    """How the recorded body was delimited (RFC 9112 §6.3).

    Without a header that says so it ended with the connection, as in HTTP/1.0; but a body in one piece was
    rather recorded over HTTP/2 or decoded by its recorder, and a length says the same.
    """
    if "chunked" in (reply.header("transfer-encoding") or "").lower():
        return "chunked"
    if reply.header("content-length") is not None or len(reply.chunks) <= 1:
        return "length"
    return "close"


def _announced(reply: Reply) -> int | None:
    """The Content-Length to announce when it is not simply that of the body: the recorded message was cut."""
    if reply.end == "clean":
        return None
    text = reply.header("content-length") or ""
    return int(text) if text.isascii() and text.isdigit() else None


def _end(end: End) -> End:
    return "hang" if end in SILENT else end
