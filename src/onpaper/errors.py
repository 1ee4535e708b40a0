"""The one exception for input that a person can put right: it says what broke, the rule, what was found, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MANY = 12
FEW = 5
"""How many names are shown of more than `MANY`."""


class BadInput(ValueError):
    """A contract, mock, cassette, declaration, factory or option that cannot be used; the message is for a person.

    The command line prints the message and exits with 2.
    """


def nearest(name: str, known: Iterable[str], shown: Iterable[str] | None = None, listed: str | None = None) -> str:
    """`; did you mean 'x'?` or a full stop, then the known names: the tail of an unknown-name message.

    Where they are too many, `shown` are groups of them, or only the nearest are shown when `listed` is given: the
    command that lists them all, or nothing.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    if shown is not None or listed is None or len(names) <= MANY:
        return f"{hint} Known: {', '.join(sorted(names if shown is None else shown)) or 'none'}."
    few = difflib.get_close_matches(name, names, n=FEW, cutoff=0.0)
    return f"{hint} Known: {', '.join(sorted(few))} and {len(names) - len(few)} more{f' (`{listed}`)' if listed else ''}."
