"""Content codings: what a compressed body says (RFC 9110 §8.4)."""

from __future__ import annotations

import zlib

READABLE = ("gzip", "x-gzip", "deflate")
LARGEST = 64 * 2**20
"""A bound on what a compressed body may become, in bytes."""


def decoded(body: bytes, coding: str, most: int = LARGEST) -> bytes | None:
    """A body without its coding, as far as it goes and at most `most` bytes of it; None when it cannot be read, or is
    not coded as it says (some recorders decode a body and keep the header)."""
    if coding not in READABLE:
        return None
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # gzip or zlib by its header; deflate without one
        try:
            return _members(body, window, most)
        except zlib.error:
            continue
    return None


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
