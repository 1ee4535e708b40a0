"""The one exception for input that a person can put right: it says what broke, the rule, what was found, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """A contract, mock, cassette, declaration, factory or option that cannot be used; the message is for a person.

    The command line prints the message and exits with 2.
    """


def nearest(name: str, known: Iterable[str], shown: Iterable[str] | None = None) -> str:
    """`; did you mean 'x'?` or an empty string, then the known names (or those `shown`, groups of them where they are too
    many): the tail of an unknown-name message."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{hint} Known: {', '.join(sorted(names if shown is None else shown)) or 'none'}."
