"""What goes wrong with a reply on its way: lists of the gateway's faults, as a mock writes them down."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from onpaper.errors import BadInput
from onpaper.gateway import faults
from onpaper.script import Script
from onpaper.strategies.cuts import offsets

Schedule = tuple[Mapping[str, Any], ...]

SILENT = frozenset({"drop-event", "duplicate-event", "reorder-events"})
"""Faults that change what is said and that no client can notice."""

BREAKING = frozenset({"cut", "cut-mid-event", "cut-in-utf8", "cut-in-crlf", "fin", "reset", "half-close"})
"""Faults that end the connection in the middle of the reply."""
TRIES = 20


@st.composite
def fault_schedules(
    draw: st.DrawFn, script: Script | None = None, *, without: Collection[str] = (), socket: bool = True
) -> Schedule:
    """One fault or two, each as `{"fault": name, …}` with its parameters, in the order they are applied.

    With a script only such faults are drawn as find something in it to act on. `without` leaves faults out by
    name; without `socket` those are left out that a gateway without a socket cannot play. Pauses are a few
    milliseconds. Shrinks to one fault with few parameters, as early in the reply as possible.

    >>> from hypothesis import given
    >>> from onpaper import Contract
    >>> from onpaper.gateway import faults
    >>> @given(fault_schedules())
    ... def test_every_fault_is_known(schedule):
    ...     assert {one["fault"] for one in schedule} <= set(faults.known_faults())
    >>> test_every_fault_is_known()
    """
    some = _faults(frozenset(without))
    found: list[Mapping[str, Any]] = []
    wanted = draw(st.integers(1, 2))
    for _ in range(TRIES):
        fault = draw(some)
        one = {"fault": fault.name, **draw(parameters(fault, script))}
        changed = script if script is None else _applied(script, one, socket)
        if script is None or changed is not None:
            found.append(one)
            script = changed
        if len(found) == wanted:
            return tuple(found)
    return tuple(found) if found else reject()


@lru_cache
def _faults(without: frozenset[str]) -> st.SearchStrategy[faults.Fault]:
    """The faults that are left. Breaking off is what clients get wrong most: it comes up as often as all the rest."""
    known = [one for name, one in faults.known_faults().items() if name not in without]
    return st.sampled_from([one for one in known if one.name in BREAKING] or known) | st.sampled_from(known)


def _applied(script: Script, one: Mapping[str, Any], socket: bool) -> Script | None:
    """The script with the fault in it; None when there is nothing to act on, or nothing to play it with."""
    try:
        changed = faults.apply(script, [one])
    except BadInput:
        return None
    return changed if socket or not _needs_socket(changed) else None


def _needs_socket(script: Script) -> bool:
    from onpaper.gateway.in_place import only_on_a_socket

    return bool(only_on_a_socket(script))


@st.composite
def parameters(draw: st.DrawFn, fault: faults.Fault, script: Script | None) -> dict[str, Any]:
    """Parameters for a fault: the required ones, and now and then one of the others."""
    given = {}
    for parameter in fault.parameters:
        values = _values(parameter, script)
        if values is not None and (parameter.required or draw(st.booleans())):
            given[parameter.name] = draw(values)
    if "low" in given and "high" in given:
        given["low"], given["high"] = sorted((given["low"], given["high"]))
    return given


def _values(parameter: faults.Parameter, script: Script | None) -> st.SearchStrategy[Any] | None:
    """What a parameter may be, by its kind; None to leave it at its default."""
    writes = 4 if script is None else max(1, len(script.writes))
    if parameter.kind.startswith("a list"):
        body = b"data: {}\n\n" if script is None else script.body
        return offsets(body).map(list).filter(bool) if len(body) > 1 else None
    if parameter.kind == "a whole number":
        return st.integers(0, writes - 1) if parameter.name == "at" else st.integers(1, 12)
    if parameter.kind == "a number from 0 on":
        return st.sampled_from((0.0, 0.001, 0.003))
    return st.just("text") if parameter.required else None
