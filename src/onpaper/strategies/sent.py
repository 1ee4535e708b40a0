"""What of a call's parameters stood in the body that was sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onpaper.driving.run import Hung, Run
from onpaper.driving.verdict import Broken
from onpaper.strategies.sampling import named_by, place
from onpaper.strategies.subject import Subject

ABSENT = object()


def sent(subject: Subject, body: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Each name under which a parameter stands in a body, with its value."""
    found = {}
    for one in {name, *named_by(subject.contract, name)}:
        value: Any = body
        for key in place(subject.contract, one) or (one,):
            value = value.get(key, ABSENT) if isinstance(value, Mapping) else ABSENT
        if value is not ABSENT:
            found[one] = value
    return found


def same(given: Any, found: Any) -> bool:
    """Whether two values are the same in JSON: 1 is 1.0, but neither is true nor "1"; a stop is a list of
    one."""
    if isinstance(given, bool) or isinstance(found, bool):
        return given is found
    if isinstance(given, str) and isinstance(found, list):
        return [given] == found
    if isinstance(given, (int, float)) != isinstance(found, (int, float)):
        return False
    return bool(given == found)


def must_carry(subject: Subject, run: Run, name: str, value: Any, whence: str) -> None:
    """Demand that the body of a run has a parameter with that value, once."""
    found = sent(subject, run.body, name)
    wire = run.chats[0].request.body
    if not found:
        raise Broken(f"{name}: {whence} {value!r}, and the body has none", wire, "request body")
    if len(found) > 1:
        raise Broken(f"{name} is sent twice, as {' and '.join(sorted(found))}", wire, "request body")
    ((said, one),) = found.items()
    if not same(value, one):
        raise Broken(f"{name}: {whence} {value!r}, and the body says {one!r} ({said})", wire, "request body")


def refused(run: Run) -> bool:
    """Whether a call was refused by the client itself, before anything was sent."""
    return run.error is not None and not isinstance(run.error, Hung) and not run.chats
