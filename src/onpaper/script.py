"""What to write to a connection, when, and how to end. Data only: sockets and respx play it, mocks and cassettes make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from onpaper.exchange import End, Headers

Transfer = Literal["chunked", "length", "close"]


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes that leave in one send.

    `after` is the pause before it in seconds. A `raw` write goes out as it is; any other is part of the body and
    is wrapped in the transfer coding (one chunk for each write). `fault` names the fault that this write carries
    out: once it has left, the fault has fired. `cuts` are offsets in what goes on the wire, transfer coding
    included, at which it is torn into further sends.
    """

    data: bytes
    after: float = 0.0
    raw: bool = False
    fault: str = ""
    cuts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Script:
    """One answer.

    `head` replaces the status line and headers by exact bytes (`b""`: none at all). `preface` is written before
    the head (an interim 103, say). `length` overrides the Content-Length that is announced, in bytes. With
    `joined` the writes that have no pause between them may leave in one send; without it each leaves in its own.
    With `lockstep` a write also waits until the client has read the one before, as long as the client keeps up.
    `end_fault` names the fault that the ending carries out, `end_after` the pause before the ending in seconds.
    """

    status: int = 200
    headers: Headers = ()
    writes: tuple[Write, ...] = ()
    end: End = "clean"
    reason: str = ""
    transfer: Transfer = "chunked"
    length: int | None = None
    head: bytes | None = None
    head_after: float = 0.0
    head_fault: str = ""
    preface: tuple[Write, ...] = ()
    joined: bool = False
    lockstep: bool = False
    end_after: float = 0.0
    end_fault: str = ""
    problem: str = ""
    """Why what was asked cannot be played as scripted (no reply matches, say); the journal keeps it."""

    @property
    def body(self) -> bytes:
        """The body bytes, as a client that decodes the transfer coding sees them."""
        return b"".join(write.data for write in self.writes if not write.raw)

    @property
    def faults(self) -> tuple[str, ...]:
        """Every fault that this script promises to carry out, in order."""
        named = [self.head_fault, *(write.fault for write in (*self.preface, *self.writes)), self.end_fault]
        return tuple(dict.fromkeys(name for name in named if name))
