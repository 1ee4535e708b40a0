"""The requests on a connection, found in its bytes: where a head ends, and where its body does (RFC 9112 §6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from onpaper.exchange import Headers, Request, header, header_values

LONGEST_HEAD = 256 * 1024
"""Bytes. A longer head is taken for an attack, or for something that is not HTTP."""

_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]\Z")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\Z", re.DOTALL)


class HeadError(ValueError):
    """The bytes are no HTTP/1.1 request; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request: `request` without its body, `size` in bytes, `raw` as it came."""

    request: Request
    size: int
    raw: bytes

    @classmethod
    def read(cls, data: bytes) -> Head | None:
        """The head at the beginning of some bytes, or None when it is not complete. Raises HeadError."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > LONGEST_HEAD:
                raise HeadError(f"the head of the request is longer than {LONGEST_HEAD} bytes")
            return None
        first, *lines = data[:end].split(b"\r\n")
        line = _LINE.match(first)
        if not line:
            raise HeadError(f"this is not an HTTP/1.1 request: {first[:60]!r}")
        headers = []
        for one in lines:
            field = _FIELD.match(one)
            if not field:
                raise HeadError(f"this is not a header field: {one[:60]!r}")
            headers.append((field[1].decode("latin-1"), field[2].decode("latin-1")))
        request = Request(line[1].decode(), line[2].decode("latin-1"), tuple(headers))
        return cls(request, end + 4, data[: end + 4])

    def changed(self, values: Mapping[str, str]) -> bytes:
        """The head with these headers (lower-case names) given new values; one that is missing is added."""
        first, *lines = self.raw[:-4].split(b"\r\n")
        left = dict(values)
        told = [first]
        for line in lines:
            name = line.partition(b":")[0]
            key = name.decode("latin-1").lower()
            if key not in values:
                told.append(line)
            elif key in left:
                told.append(name + b": " + left.pop(key).encode("latin-1"))
        told += [f"{name}: {value}".encode("latin-1") for name, value in left.items()]
        return b"\r\n".join([*told, b"", b""])

    def body(self) -> Body | None:
        """What finds the end of the body; None when there is none. Raises HeadError."""
        return framing(self.request.headers)


def framing(headers: Headers) -> Body | None:
    """How a request's body is delimited. Raises HeadError when that is not certain."""
    coding = header(headers, "transfer-encoding")
    lengths = {value.strip() for value in header_values(headers, "content-length")}
    if coding is not None:
        if coding.strip().lower() != "chunked" or lengths:
            raise HeadError("the request's body is neither plainly chunked nor of one length")
        return Body(None)
    if not lengths:
        return None
    (length,) = lengths if len(lengths) == 1 else ("",)
    if not re.fullmatch(r"[0-9]{1,18}", length):
        raise HeadError("the request's Content-Length is no number, or two")
    return Body(int(length)) if int(length) else None


class Body:
    """Finds the end of a body in the bytes that carry it: `length` of them, or chunk frames."""

    def __init__(self, length: int | None) -> None:
        self._left = length or 0  # bytes of the body, or of the frame, that are still to come
        self._chunked = length is None
        self._line = b""
        self._state = "size" if self._chunked else "data"
        self._taken: list[bytes] = []

    def taken(self) -> bytes:
        """The bytes of the body, without their frames, since this was asked last."""
        taken, self._taken = b"".join(self._taken), []
        return taken

    def feed(self, data: bytes) -> tuple[int, bool]:
        """How many of these bytes belong to the body, and whether it ends with them. Raises HeadError."""
        position = 0
        while position < len(data):
            if self._state == "data":
                size = min(self._left, len(data) - position)
                self._taken.append(data[position : position + size])
                self._left -= size
                position += size
                if self._left:
                    continue
                if not self._chunked:
                    return position, True
                self._state = "end"
            else:
                line, position = self._until_newline(data, position)
                if line is not None and self._frame(line):
                    return position, True
        return position, False

    def _until_newline(self, data: bytes, position: int) -> tuple[bytes | None, int]:
        end = data.find(b"\n", position)
        if end < 0:
            self._line += data[position:]
            if len(self._line) > LONGEST_HEAD:
                raise HeadError("a chunk frame of the request is too long")
            return None, len(data)
        line, self._line = self._line + data[position:end], b""
        return line.rstrip(b"\r"), end + 1

    def _frame(self, line: bytes) -> bool:
        """Take a line between the data of two chunks; whether it was the last of the body."""
        if self._state == "end":
            self._state = "size"
        elif self._state == "trailer":
            return not line
        else:
            digits = line.partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits):
                raise HeadError(f"a chunk of the request has no size: {line[:60]!r}")
            self._left = int(digits, 16)
            self._state = "data" if self._left else "trailer"
        return False
