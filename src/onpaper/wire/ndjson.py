"""Newline-delimited JSON: one value a line, lines end in LF (a CR before it is white space to JSON)."""

from __future__ import annotations


class Decoder:
    """Incremental line decoder: bytes in, complete non-blank lines out, as text (invalid UTF-8 is U+FFFD).

    Raises ValueError when a line exceeds `limit` bytes (default 64 MiB).
    """

    __slots__ = ("_limit", "_part", "_size")

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self._part: list[bytes] = []
        self._size = 0
        self._limit = limit

    def feed(self, chunk: bytes) -> list[str]:
        *lines, rest = chunk.split(b"\n")
        if lines and self._part:
            self._part.append(lines[0])
            lines[0] = b"".join(self._part)
            self._part.clear()
            self._size = 0
        if rest:
            self._part.append(rest)
            self._size += len(rest)
        if max(self._size, *map(len, lines), 0) > self._limit:
            raise ValueError(f"a line is longer than {self._limit} bytes")
        return [line.decode("utf-8", "replace") for line in lines if line.strip()]

    def finish(self) -> list[str]:
        """The last line, when no newline closed it: NDJSON lets the final newline be absent."""
        rest = b"".join(self._part)
        self._part.clear()
        return [rest.decode("utf-8", "replace")] if rest.strip() else []

    @property
    def pending(self) -> bool:
        return bool(self._part)
