"""Values that print themselves shortly."""

from __future__ import annotations

from typing import Any

LONGEST = 3000
"""How much of a value is printed, in characters."""


class Shown:
    """Prints in a failing example as its `repr` says, cut in the middle when that is long.

    Hypothesis prints every field of a dataclass otherwise.
    """

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(shortened(repr(self)))


def shortened(text: str, limit: int = LONGEST) -> str:
    """The text with its middle left out, if it is longer than the limit."""
    half = limit // 2
    left_out = len(text) - 2 * half
    return text if left_out <= 0 else f"{text[:half]} … {left_out} characters … {text[-half:]}"
