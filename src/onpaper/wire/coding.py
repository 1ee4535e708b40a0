"""Content codings (RFC 9110 §8.4): what a compressed body says, who accepts one, and bodies in one."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol

READABLE = ("gzip", "x-gzip", "deflate")
LARGEST = 64 * 2**20
"""A bound on what a compressed body may become, in bytes."""


def decoded(body: bytes, coding: str, most: int = LARGEST) -> bytes | None:
    """A body without its coding, as far as it goes and at most `most` bytes of it; None when it cannot be read, or is
    not coded as it says (some recorders decode a body and keep the header)."""
    if coding not in READABLE:
        return None
    # gzip and zlib show by their headers what they are; deflate without one is anything that can be read so, text too
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS) if coding == "deflate" else (zlib.MAX_WBITS | 32,):
        try:
            return _members(body, window, most)
        except zlib.error:
            continue
    return None


GZIP = b"\x1f\x8b\x08"
"""How gzip begins (RFC 1952 §2.3.1), and no text does."""


def coding_of(named: str | None, body: bytes) -> str:
    """The coding of a recorded body: as its header names it or, where a recorder left that out or masked it, as it shows."""
    coding = (named or "").strip().lower()
    return "gzip" if coding not in READABLE and body.startswith(GZIP) else coding


BEGINNINGS = ("{", "[", "<", "data:", "event:", "id:", "retry:", ":")
"""How replies begin: JSON, a page of a proxy, an event stream."""


def is_plain(body: bytes, coding: str) -> bool:
    """Whether a body is not coded though its header says so: many recorders decode a body and keep the header.

    Every coding leaves bytes that are no text. What is text and begins as a reply does, is one; other text is one when
    it cannot be decoded, where that can be tried.
    """
    if coding in ("", "identity"):
        return True
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    readable = not any(char < " " and char not in "\t\r\n" for char in text)
    if readable and text.lstrip("\ufeff \t\r\n").startswith(BEGINNINGS):
        return True
    return coding in READABLE and bool(body) and decoded(body, coding) is None


def _members(body: bytes, window: int, most: int) -> bytes:
    """All members: a gzip file may have several, one after the other (RFC 1952 §2.2). Raises zlib.error for the first."""
    out = b""
    while body and len(out) < most:
        member = zlib.decompressobj(window)
        try:
            out += member.decompress(body, most - len(out))
        except zlib.error:
            if out:
                break  # what follows is none
            raise
        body = member.unused_data if member.eof else b""
    return out


def accepts(accept_encoding: str | None, coding: str) -> bool:
    """Whether a client names a coding in its `Accept-Encoding`, with a weight above 0 (RFC 9110 §12.5.3)."""
    for one in (accept_encoding or "").lower().split(","):
        name, _, weight = (part.strip() for part in one.partition(";"))
        if name == coding:
            return weight.replace(" ", "").rstrip("0") not in ("q=", "q=0.", "q=.")
    return False


class Coder(Protocol):
    """Puts a body into a coding, so that what was given so far can always be decoded."""

    def feed(self, data: bytes) -> bytes: ...
    def end(self) -> bytes: ...


class _Zlib:
    def __init__(self, window: int) -> None:
        self._coder = zlib.compressobj(wbits=window)

    def feed(self, data: bytes) -> bytes:
        return self._coder.compress(data) + self._coder.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._coder.flush(zlib.Z_FINISH)


class _Brotli:
    """Brotli whose blocks are stored as they are (RFC 7932 §9): any decoder reads it, and no library has to write it."""

    LARGEST = 1 << 16

    def __init__(self) -> None:
        self._bits, self._width = 0, 1  # the window's size, one bit for 64 KiB, stands before the first block

    def feed(self, data: bytes) -> bytes:
        out = b""
        for start in range(0, len(data), self.LARGEST):
            block = data[start : start + self.LARGEST]
            # not the last (1 bit), a length of four nibbles (2), the length less one (16), stored (1); then a whole byte
            head = self._bits | ((len(block) - 1) << 3 | 1 << 19) << self._width
            out += head.to_bytes(3, "little") + block
            self._bits = self._width = 0
        return out

    def end(self) -> bytes:
        return (self._bits | 0b11 << self._width).to_bytes(1, "little")  # the last block, and empty


class _Zstandard:
    """Zstandard whose blocks are stored as they are (RFC 8878 §3.1.1)."""

    LARGEST = 1 << 17
    START = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\x38"
    """The magic number, a frame without checksum and length, a window of 128 KiB."""

    def __init__(self) -> None:
        self._start = self.START

    def feed(self, data: bytes) -> bytes:
        out, self._start = self._start, b""
        for start in range(0, len(data), self.LARGEST):
            block = data[start : start + self.LARGEST]
            out += (len(block) << 3).to_bytes(3, "little") + block
        return out

    def end(self) -> bytes:
        out, self._start = self._start, b""
        return out + b"\x01\x00\x00"  # the last block, and empty


CODERS: dict[str, Callable[[], Coder]] = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": lambda: _Zlib(zlib.MAX_WBITS),
    "br": _Brotli,
    "zstd": _Zstandard,
}
