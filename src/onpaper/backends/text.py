"""JSON text, and text that arrives in pieces."""

from __future__ import annotations

import json
import re
from typing import Any

INVALID = object()
"""What `parse` returns for text that is not JSON (None is JSON's null)."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def parse(text: str | bytes) -> Any:
    """JSON text as a value, or `INVALID`.

    The decoder's own exception is not chained to ours: it carries the whole document, and with it what a
    server echoed.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return INVALID


def join_surrogates(text: str) -> str:
    """The text with the halves of surrogate pairs joined, and a half without its other as U+FFFD.

    JSON may spell a character as two escapes (RFC 8259 §7), and a gateway that cuts text by UTF-16 units
    sends them in two tokens. Python would keep the halves apart, and such a string can never be sent or
    printed.
    """
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class TextJoiner:
    """Gives out text piece by piece, and keeps back half a surrogate pair until its other half arrives."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, piece: str) -> str:
        """Take a piece; returns the text that is whole."""
        piece = self._half + piece
        self._half = piece[-1] if "\ud800" <= piece[-1:] <= "\udbff" else ""
        return join_surrogates(piece.removesuffix(self._half))

    def rest(self) -> str:
        """What is left at the end: U+FFFD when the other half never came."""
        half, self._half = self._half, ""
        return join_surrogates(half)
