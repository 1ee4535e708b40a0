"""Server-sent events, exactly as WHATWG HTML §9.2.6 "Interpreting an event stream" says: bytes in, events
out.

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
LONGEST_RETRY = 18
"""Digits of a `retry` that is read: a longer one is no time, and Python reads no number of any length."""


class Event(NamedTuple):
    """One dispatched event. `type` is `message` unless the stream says otherwise; `retry` is milliseconds."""

    type: str
    data: str
    id: str = ""
    retry: int | None = None


class EventTooLong(ValueError):
    """An event grew past the decoder's bound before a blank line closed it."""


class Decoder:
    """Incremental event-stream decoder.

    Feed it bytes as they come; each call returns the events that those bytes completed. Invalid UTF-8
    becomes U+FFFD, as the standard asks. Raises `EventTooLong` when the data of an event and the line that
    follows them exceed `limit` bytes (default 64 MiB), however they were cut.
    """

    __slots__ = (
        "_cr",
        "_data",
        "_held",
        "_id",
        "_limit",
        "_open",
        "_part",
        "_retry",
        "_start",
        "_type",
        "last_event_id",
    )

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self._part: list[bytes] = []  # the pieces of a line not yet ended, joined once
        self._open = 0  # how many bytes they are
        self._cr = False  # the last byte was CR: a LF that follows belongs to it
        self._start: bytes | None = b""  # the first bytes, until we know whether they are a BOM
        self._data: list[bytes] = []
        self._held = 0  # how many bytes the event's data lines are
        self._type = b""
        self._id = ""
        self._retry: int | None = None
        self._limit = limit
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
        events: list[Event] = []
        if lines:
            if self._part:
                self._part.append(lines[0])
                lines[0] = b"".join(self._part)
                self._part.clear()
                self._open = 0
            self._take(lines, events)
        if rest:
            self._part.append(rest)
            self._open += len(rest)
            if self._held + self._open > self._limit:
                raise self._too_long()
        return events

    def _take(self, lines: list[bytes], events: list[Event]) -> None:
        """Take whole lines."""
        data, held, limit = self._data, self._held, self._limit
        for line in lines:
            if not line:
                self._dispatch(events)
                held = 0
            elif held + len(line) > limit:
                raise self._too_long()
            elif line.startswith(b"data: "):
                data.append(line[6:])
                held += len(line)
            else:
                held += self._field(line)
        self._held = held

    def _field(self, line: bytes) -> int:
        """Take a line that is not `data: …`; gives how many bytes of it are kept as data."""
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            return len(line)
        if name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= LONGEST_RETRY:
            self._retry = int(value)
        return 0

    def _dispatch(self, events: list[Event]) -> None:
        self.last_event_id = self._id
        if self._data:
            kind = self._type.decode("utf-8", "replace") or "message"
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(Event(kind, data.decode("utf-8", "replace"), self._id, self._retry))
            self._data.clear()
        self._type = b""
        self._retry = None

    def _too_long(self) -> EventTooLong:
        return EventTooLong(f"an event is longer than {self._limit} bytes and no blank line has closed it")

    @property
    def pending(self) -> bool:
        """Whether bytes of an unfinished event are held: at the end of a stream, the event was cut."""
        comment = bool(self._part) and self._part[0].startswith(b":")
        return bool((self._part and not comment) or self._data or self._type or self._start)


def decode(chunks: Iterable[bytes]) -> tuple[list[Event], bool]:
    """All events of a body, and whether it ended inside an event."""
    decoder = Decoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events, decoder.pending


@dataclass(frozen=True, slots=True)
class Framing:
    """How events are written: a reader that follows the standard gets the same events from every choice."""

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
    # half a surrogate pair has no UTF-8: it goes out as the escape that JSON has for it
    return newline.join(line.encode("utf-8", "backslashreplace") for line in lines) + newline * (
        1 + framing.blank
    )


def opening(framing: Framing) -> bytes:
    """The bytes before the first event: the BOM and the comments."""
    newline = NEWLINES[framing.newline]
    start = BOM if framing.bom else b""
    for comment in framing.comments:
        start += b":" + (b" " + comment.encode() if comment else b"") + newline + newline
    return start


def _split_json(data: str) -> list[str]:
    """Cut JSON after the first brace and before the last, where a newline is white space."""
    if len(data) > 2 and data[0] == "{" and data[-1] == "}":
        return [data[0], data[1:-1], data[-1]]
    return data.split("\n")
