"""Which recorded request an incoming one is, and how the nearest differs when it is none of them."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from onpaper.cassettes.redaction import Redactor
from onpaper.cassettes.shapes import MASK
from onpaper.errors import BadInput, nearest
from onpaper.exchange import Request

MATCH = ("method", "path", "body")
"""What is compared unless said: the query too with `query`."""

_LONGEST_DIFF = 60
"""Lines of a difference that are shown."""


def matcher(names: Iterable[str]) -> Callable[[Request, Request], bool]:
    """A function of a recorded and an incoming request. Raises BadInput for a name that is not known."""
    chosen = tuple(names)
    for name in chosen:
        if name not in _SAME:
            raise BadInput(f"requests cannot be matched on {name!r}{nearest(name, _SAME)}")
    return lambda recorded, sent: all(_SAME[name](recorded, sent) for name in chosen)


def _same_body(recorded: Request, sent: Request) -> bool:
    """Whether two bodies are the same JSON, or else the same bytes; what a recorder masked is masked in both."""
    if recorded.body == sent.body:
        return True
    if MASK in recorded.body:
        sent = Request(
            sent.method, sent.target, (), Redactor().text(_text(sent.body)).encode("utf-8", "replace")
        )
    before, now = value_of(recorded.body), value_of(sent.body)
    return before is not _NOT_JSON and _equal(before, now)


def _equal(before: Any, now: Any) -> bool:
    """Equality of JSON: `1` is not `true`, and `1` is `1.0`."""
    if isinstance(before, bool) != isinstance(now, bool):
        return False
    if isinstance(before, dict) and isinstance(now, dict):
        return before.keys() == now.keys() and all(_equal(before[key], now[key]) for key in before)
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(_equal, before, now))
    return bool(before == now)


_SAME: Mapping[str, Callable[[Request, Request], bool]] = {
    "method": lambda recorded, sent: recorded.method == sent.method,
    "path": lambda recorded, sent: recorded.path == sent.path,
    "query": lambda recorded, sent: recorded.target.partition("?")[2] == sent.target.partition("?")[2],
    "body": _same_body,
}
_NOT_JSON = object()


def value_of(body: bytes) -> Any:
    """A body as JSON, or a mark that it is none."""
    try:
        return json.loads(body.decode("utf-8"))
    except ValueError:
        return _NOT_JSON


def nearest_of(recorded: Sequence[Request], sent: Request) -> int:
    """The number of the recorded request that is most like the one that was sent."""
    told = _shown(sent)

    def likeness(number: int) -> tuple[bool, bool, float]:
        one = recorded[number]
        ratio = difflib.SequenceMatcher(None, _shown(one), told, autojunk=False).quick_ratio()
        return one.method == sent.method, one.path == sent.path, ratio

    return max(range(len(recorded)), key=likeness)


def difference(recorded: Request, sent: Request) -> str:
    """A unified diff from a recorded request to the one that was sent, bodies as readable JSON."""
    lines = list(difflib.unified_diff(_shown(recorded), _shown(sent), "recorded", "sent", lineterm="", n=2))
    if len(lines) > _LONGEST_DIFF:
        lines = [*lines[:_LONGEST_DIFF], f"… and {len(lines) - _LONGEST_DIFF} more lines"]
    return "\n".join(lines) or "(they differ in how the body is written only)"


def _shown(request: Request) -> list[str]:
    value = value_of(request.body)
    if value is _NOT_JSON:
        body = _text(request.body)
    else:
        body = json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    return [f"{request.method} {request.target}", *body.splitlines()]


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
