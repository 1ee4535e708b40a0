"""Where a body is cut on its way: by the kernel, a proxy, or a server that flushes in odd places."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from hypothesis import strategies as st

from onpaper.script import Script, Write

Offsets = tuple[int, ...]
"""Ascending places of a body, in bytes, before each of which a new piece begins."""

LONGEST_RUN = 128
"""At most so many neighbouring cuts, so that a large body does not become thousands of sends."""


def cuts(body: bytes) -> st.SearchStrategy[tuple[bytes, ...]]:
    """The body in pieces, in order, none of them empty. Shrinks to one cut at the smallest offset.

    >>> from hypothesis import given
    >>> @given(cuts("data: é\\n\\n".encode()))
    ... def test_nothing_is_lost(pieces):
    ...     assert b"".join(pieces).decode() == "data: é\\n\\n"
    >>> test_nothing_is_lost()
    """
    return offsets(body).map(lambda places: pieces(body, places))


@st.composite
def offsets(draw: st.DrawFn, body: bytes) -> Offsets:
    """Where to cut: at one byte, or before each of a run of bytes, up to three times.

    The places where readers go wrong come up often: inside a character, a line end, a field's name, and
    between the two line ends that close an event. Empty for a body of less than two bytes.
    """
    size = len(body)
    if size < 2:
        return ()
    # Up to `longest` the first number means one cut, above it the length of a run. It stands before the start
    # so that Hypothesis can lower it at the cost of the start: a run shrinks to the one cut that matters.
    longest = min(size, LONGEST_RUN)
    lengths = st.integers(0, 2 * longest - 1)
    anywhere = st.integers(1, size - 1)
    places = delicate(body)
    starts = anywhere | st.sampled_from(places) if places else anywhere
    found: set[int] = set()
    for _ in range(draw(st.integers(1, 3))):
        length = max(1, draw(lengths) - longest)
        start = draw(starts)
        found.update(range(start, min(start + length, size)))
    return tuple(sorted(found))


_DELICATE = re.compile(
    rb"(?P<character>[\x80-\xbf])"  # before it: inside a character of several bytes
    rb"|(?P<end>[\r\n])"  # before and after a line end
    rb"|(?<=[\r\n])(?P<field>[a-z]+: ?)"  # inside the name of a field
    rb"|(?P<escape>\\(?:u[0-9a-fA-F]{4}|.))"  # inside an escape of JSON
)


def delicate(body: bytes) -> list[int]:
    """The places where a cut hurts a careless reader, ascending."""
    found: set[int] = set()
    for match in _DELICATE.finditer(body):
        start, end = match.span()
        found.update(range(start + (match.lastgroup in ("field", "escape")), end + 1))
    return sorted(place for place in found if 0 < place < len(body))


def pieces(body: bytes, places: Iterable[int]) -> tuple[bytes, ...]:
    """The body cut at those places; the ones outside of it do not count."""
    inside = sorted({place for place in places if 0 < place < len(body)})
    return tuple(body[start:end] for start, end in pairwise((0, *inside, len(body)))) if body else ()


def recut(script: Script, places: Iterable[int]) -> Script:
    """The same script with its body in other pieces, each in a send of its own; pauses are dropped."""
    writes = tuple(Write(piece) for piece in pieces(script.body, places))
    return replace(script, writes=writes, joined=False)
