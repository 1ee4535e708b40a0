"""From bytes in any pieces to the events of a stream, in steps of which a fault replaces one."""

from __future__ import annotations

import re

Event = tuple[str, str]
"""Type (empty when none was given) and data."""


class Lines:
    """Whole lines. A line that is still open waits in parts, so that each byte is looked at once."""

    ends = re.compile(rb"\r\n|\r|\n")

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.after_cr = False
        self.at_start = True

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete, without their ends."""
        if self.after_cr and data.startswith(b"\n"):
            data, self.after_cr = data[1:], False
        if not data:
            return []
        self.after_cr = data.endswith(b"\r")
        *whole, rest = self.ends.split(data)
        lines = []
        for end in whole:
            self.parts.append(end)
            lines.append(self.rest())
        self.parts.append(rest)
        return lines

    def rest(self) -> bytes:
        """The line that is still open; a byte order mark before the very first one is dropped."""
        line, self.parts = b"".join(self.parts), []
        if self.at_start:
            line, self.at_start = self.begin(line), False
        return line

    def begin(self, line: bytes) -> bytes:
        return line.removeprefix(b"\xef\xbb\xbf")


class Events:
    """Server-sent events, as WHATWG HTML says; an event that the end cuts off is discarded."""

    lines: type[Lines] = Lines

    def __init__(self) -> None:
        self.reader = self.lines()
        self.clear()

    def clear(self) -> None:
        self.kind = b""
        self.data: list[bytes] = []

    def feed(self, data: bytes) -> list[Event]:
        """The events that these bytes complete."""
        return [event for line in self.reader.feed(data) for event in self.line(line)]

    def finish(self) -> list[Event]:
        """What the end of the body still makes an event."""
        return []

    def line(self, line: bytes) -> list[Event]:
        if not line:
            return self.dispatch()
        if not line.startswith(b":"):
            name, _, value = line.partition(b":")
            self.field(name, value.removeprefix(b" "))
        return []

    def field(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self.data.append(value)
        elif name == b"event":
            self.kind = value

    def dispatch(self) -> list[Event]:
        kind, data = self.kind, self.data
        self.clear()
        return [(self.text(kind), self.text(b"\n".join(data)))] if data else []

    def text(self, data: bytes) -> str:
        return data.decode("utf-8", "replace")


class JSONLines:
    """One JSON value a line; the last line counts without its newline."""

    ends = re.compile(rb"\n")

    def __init__(self) -> None:
        self.reader = Lines()
        self.reader.ends = self.ends

    def feed(self, data: bytes) -> list[Event]:
        return [event for line in self.reader.feed(data) for event in self.line(line)]

    def finish(self) -> list[Event]:
        return self.line(self.reader.rest())

    def line(self, line: bytes) -> list[Event]:
        return [("", line.decode("utf-8", "replace"))] if line.strip() else []
