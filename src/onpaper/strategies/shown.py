"""Values that print themselves shortly."""

from __future__ import annotations

from typing import Any


class Shown:
    """Prints in a failing example as its `repr` says; Hypothesis prints every field of a dataclass otherwise."""

    __slots__ = ()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))
