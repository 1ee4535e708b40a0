"""Server-sent events, exactly as WHATWG HTML §9.2.6 "Interpreting an event stream" says; bytes in, events out.

The decoder is the judge, so it is strict: a line ends in CR, LF or CRLF and in nothing else (not in U+2028,
U+0085 or form feed), one leading BOM is dropped, one space after the colon, and an event that no blank line
closes is not an event. It never looks back: time is linear in the input however it is cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

BOM = b"\xef\xbb\xbf"
NEWLINES: dict[str, bytes] = {"lf": b"\n", "crlf": b"\r\n", "cr": b"\r"}


class Event(NamedTuple):
    """One dispatched event. `type` is `message` unless the stream says otherwise; `retry` is in milliseconds."""

    type: str
    data: str
    id: str = ""
    retry: int | None = None


class EventTooLong(ValueError):
    """An event grew past the decoder's bound before a blank line closed it."""


class Decoder:
    """Incremental event-stream decoder.

    Feed it bytes as they come; each call returns the events that those bytes completed. Invalid UTF-8 becomes
    U+FFFD, as the standard asks. Raises `EventTooLong` when one event exceeds `limit` bytes (default 64 MiB).
    """

    __slots__ = ("_cr", "_data", "_id", "_limit", "_part", "_retry", "_size", "_start", "_type", "last_event_id")

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self._part: list[bytes] = []  # the pieces of a line not yet ended, joined once
        self._cr = False  # the last byte was CR: a LF that follows belongs to it
        self._start: bytes | None = b""  # the first bytes, until we know whether they are a BOM
        self._data: list[bytes] = []
        self._type = b""
        self._id = ""
        self._retry: int | None = None
        self._limit = limit
        self._size = 0
        self.last_event_id = ""

    def feed(self, chunk: bytes) -> list[Event]:
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < 3 and BOM.startswith(chunk):
                self._start = chunk
                return []
            self._start = None
            chunk = chunk.removeprefix(BOM)
        if not chunk:
            return []
        if self._cr:
            self._cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
                if not chunk:
                    return []
        if b"\r" in chunk:
            self._cr = chunk[-1] == 13
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if not lines:
            self._part.append(rest)
            self._grow(len(rest))
            return []
        if self._part:
            self._part.append(lines[0])
            lines[0] = b"".join(self._part)
            self._part.clear()
        if rest:
            self._part.append(rest)
        events: list[Event] = []
        data = self._data
        for line in lines:
            if not line:
                self._dispatch(events)
            elif line.startswith(b"data: "):
                data.append(line[6:])
                self._grow(len(line))
            else:
                self._field(line)
        if rest:
            self._grow(len(rest))
        return events

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise EventTooLong(f"an event is longer than {self._limit} bytes and no blank line has closed it")

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._grow(len(line))
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            self._retry = int(value)

    def _dispatch(self, events: list[Event]) -> None:
        self.last_event_id = self._id
        if self._data:
            kind = self._type.decode("utf-8", "replace") or "message"
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(Event(kind, data.decode("utf-8", "replace"), self._id, self._retry))
            self._data.clear()
        self._type = b""
        self._retry = None
        self._size = 0

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished event are held: at the end of a stream, the event was cut."""
        return bool(self._part or self._data or self._type or (self._start and self._start != b""))


def decode(chunks: Iterable[bytes]) -> tuple[list[Event], bool]:
    """All events of a body, and whether it ended inside an event."""
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events, decoder.pending


@dataclass(frozen=True, slots=True)
class Framing:
    """How events are written: every choice leaves the events the same for a reader that follows the standard."""

    newline: Literal["lf", "crlf", "cr"] = "lf"
    space: bool = True
    bom: bool = False
    multiline: bool = False
    comments: tuple[str, ...] = ()
    """Comment lines before the first event (`""` is the bare `:` keep-alive)."""
    keepalive: str | None = None
    """A comment before every event."""
    fields: tuple[tuple[str, str], ...] = ()
    """Further fields of every event, such as `id` or `retry`; `("", "")` is a line without colon."""
    blank: int = 1
    """Blank lines that close an event."""


def encode(event: Event, framing: Framing = Framing()) -> bytes:
    """One event as bytes in the given framing."""
    newline = NEWLINES[framing.newline]
    colon = ": " if framing.space else ":"
    lines: list[str] = []
    if framing.keepalive is not None:
        lines += [f":{' ' if framing.keepalive else ''}{framing.keepalive}", ""]
    for name, value in framing.fields:
        lines.append(f"{name}{colon}{value}" if value else name or "unknown")
    if event.type != "message":
        lines.append(f"event{colon}{event.type}")
    parts = _split_json(event.data) if framing.multiline else event.data.split("\n")
    # a value that begins with a space needs the optional one, or it would lose its own
    lines += [f"data{colon if not part.startswith(' ') else ': '}{part}" for part in parts]
    return newline.join(line.encode("utf-8", "surrogatepass") for line in lines) + newline * (1 + framing.blank)


def opening(framing: Framing) -> bytes:
    """The bytes before the first event: the BOM and the comments."""
    newline = NEWLINES[framing.newline]
    start = BOM if framing.bom else b""
    for comment in framing.comments:
        start += b":" + (b" " + comment.encode() if comment else b"") + newline + newline
    return start


def _split_json(data: str) -> list[str]:
    """Cut JSON after the first brace and before the last, where a newline is white space and changes nothing."""
    if len(data) > 2 and data[0] == "{" and data[-1] == "}":
        return [data[0], data[1:-1], data[-1]]
    return data.split("\n")
