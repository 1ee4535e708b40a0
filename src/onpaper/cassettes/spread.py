"""Text that a stream delivers in pieces, so that a value cut into several events is found as well."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(rb"[^\r\n]+")
_MEMBER = re.compile(rb'"(?P<key>[A-Za-z_]+)"\s*+:\s*+"(?P<text>(?:[^"\\]|\\.)*+)"')
_UNIT = re.compile(rb"\\u[0-9A-Fa-f]{4}|\\.|[^\\]", re.DOTALL)


def joined_texts(data: bytes | bytearray) -> Iterator[tuple[bytes, list[tuple[int, int]]]]:
    """Each text that only shows when one member of successive lines is joined.

    In `"content":"sk-12"` … `"content":"34"` the two texts are one. Lines are SSE data or NDJSON. A text
    comes unescaped, in UTF-8, with the span in `data` that each of its bytes came from.
    """
    for pieces in _joined(data).values():
        if len(pieces) > 1:
            yield _unescaped(data, pieces)


def _joined(data: bytes | bytearray) -> dict[bytes, list[tuple[int, int]]]:
    """For each key, the spans of its texts, in order."""
    found: dict[bytes, list[tuple[int, int]]] = {}
    for line in _LINE.finditer(data):
        for member in _MEMBER.finditer(data, *line.span()):
            if member["text"]:
                found.setdefault(bytes(member["key"]), []).append(member.span("text"))
    return found


def _unescaped(data: bytes | bytearray, pieces: list[tuple[int, int]]) -> tuple[bytes, list[tuple[int, int]]]:
    text, spans = bytearray(), []
    for start, end in pieces:
        for unit in _UNIT.finditer(data, start, end):
            plain = _plain(unit[0])
            text += plain
            spans += [unit.span()] * len(plain)
    return bytes(text), spans


def _plain(unit: bytes) -> bytes:
    if unit.startswith(b"\\u"):
        return chr(int(unit[2:], 16)).encode("utf-8", "surrogatepass")
    return unit[-1:]  # a control character's letter is as good as the character: no key holds one
