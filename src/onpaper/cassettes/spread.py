"""Text that a stream delivers in pieces, so that a value cut into several events is found as well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from onpaper.cassettes.shapes import Shape

_LINE = re.compile(rb"[^\r\n]+")
_MEMBER = re.compile(rb'"(?P<key>[A-Za-z_]+)"\s*+:\s*+"(?P<text>(?:[^"\\]|\\.)*+)"')
_UNIT = re.compile(rb"\\u[0-9A-Fa-f]{4}|\\.|[^\\]", re.DOTALL)


def spread_spans(data: bytes | bytearray, shapes: Iterable[Shape]) -> Iterator[tuple[int, int]]:
    """Spans of the characters of every value that only shows when a member of successive lines is joined.

    In `"content":"sk-12"` … `"content":"34"` the two texts are one. Lines are SSE data or NDJSON.
    """
    shapes = tuple(shapes)
    for pieces in _joined(data).values():
        if len(pieces) > 1:
            text, spans = _unescaped(data, pieces)
            for shape in shapes:
                for start, end in shape.spans(text):
                    yield from spans[start:end]


def _joined(data: bytes | bytearray) -> dict[bytes, list[tuple[int, int]]]:
    """For each key, the spans of its texts, in order."""
    found: dict[bytes, list[tuple[int, int]]] = {}
    for line in _LINE.finditer(data):
        for member in _MEMBER.finditer(data, *line.span()):
            if member["text"]:
                found.setdefault(bytes(member["key"]), []).append(member.span("text"))
    return found


def _unescaped(data: bytes | bytearray, pieces: list[tuple[int, int]]) -> tuple[bytes, list[tuple[int, int]]]:
    """The text that pieces of JSON strings stand for, in UTF-8, and the span each of its bytes came from."""
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
