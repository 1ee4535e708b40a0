"""From bytes that arrive in any pieces to the events of a stream: server-sent events, and lines of JSON.

Both readers work on bytes: a line ends where the format says and nowhere else (U+2028 or U+0085 inside a
token is text), and UTF-8 is decoded only when a line is whole, so no character can be cut. Each byte is
looked at once, however small the pieces are, and an event may not grow beyond `MAX_EVENT`.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Protocol

from .errors import UnusableReply
from .text import INVALID, parse

MAX_EVENT = 64 * 1024 * 1024
"""The largest event or line that is kept, in bytes."""

_BOM = b"\xef\xbb\xbf"
_SSE_LINE_END = re.compile(rb"\r\n|\r|\n")
_LF = re.compile(rb"\n")


class Event(NamedTuple):
    data: str
    type: str = ""


class Reader(Protocol):
    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete. Raises UnusableReply when one is larger than `MAX_EVENT`."""

    def finish(self) -> list[Event]:
        """What is left at the end of the body, if the format counts it."""


class SSEReader:
    """Server-sent events, as WHATWG HTML §9.2.6 "Interpreting an event stream" says.

    One leading BOM is dropped; CRLF, CR and LF end a line; one space after the colon is dropped; several
    `data` lines are joined by LF; invalid UTF-8 becomes U+FFFD; an event that the end of the body cuts off is
    discarded. One extension: a line `error: …` makes an event of type `error`. llama.cpp sent its errors so,
    and a reader that follows the letter would lose them (https://github.com/ggml-org/llama.cpp/pull/16109).
    """

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._lines = _Lines(_SSE_LINE_END, limit)
        self._limit = limit
        self._data: list[bytes] = []
        self._size = 0
        self._type = ""
        self._after_cr = False

    def feed(self, data: bytes) -> list[Event]:
        if not data:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]  # the second half of a CRLF that was cut in two; its CR ended the line
        self._after_cr = data.endswith(b"\r")
        events = []
        for line in self._lines.feed(data):
            if line:
                self._field(line)
            elif self._data:
                events.append(Event(b"\n".join(self._data).decode("utf-8", "replace"), self._type))
            if not line:
                self._data, self._size, self._type = [], 0, ""
        return events

    def finish(self) -> list[Event]:
        return []

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._type = value.decode("utf-8", "replace")
        elif name in (b"data", b"error"):
            self._data.append(value)
            self._size += len(value) + 1
            if self._size > self._limit:
                raise _too_large(self._limit)
            if name == b"error":
                self._type = "error"


class NDJSONReader:
    """JSON values, one for each line (https://github.com/ndjson/ndjson-spec).

    A last line without its LF counts when it is whole.
    """

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._lines = _Lines(_LF, limit)

    def feed(self, data: bytes) -> list[Event]:
        return [Event(line.decode("utf-8", "replace")) for line in self._lines.feed(data) if line.strip()]

    def finish(self) -> list[Event]:
        rest = self._lines.rest().decode("utf-8", "replace")
        return [Event(rest)] if rest.strip() and parse(rest) is not INVALID else []


class _Lines:
    """Whole lines out of pieces of bytes. The pieces of an open line wait in a list and are joined once."""

    def __init__(self, end: re.Pattern[bytes], limit: int) -> None:
        self._end = end
        self._limit = limit
        self._open: list[bytes] = []
        self._size = 0
        self._first = True

    def feed(self, data: bytes) -> list[bytes]:
        head, *tail = self._end.split(data)
        self._open.append(head)
        self._size += len(head)
        if self._size > self._limit:
            raise _too_large(self._limit)
        if not tail:
            return []
        lines = [self.rest(), *tail[:-1]]
        self._open, self._size = [tail[-1]], len(tail[-1])
        return lines

    def rest(self) -> bytes:
        """The line that is still open; the very first line is given without a BOM."""
        line = b"".join(self._open)
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        return line


def _too_large(limit: int) -> UnusableReply:
    return UnusableReply(f"one event of the stream is larger than {limit} bytes; the reply is given up")
