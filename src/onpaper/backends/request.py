"""What a request may hold: sampling parameters, stop sequences, and the body as bytes.

Everything here refuses with ValueError, in one sentence, before a byte is sent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

SAMPLING = {"temperature": 1.0, "top_k": 20, "top_p": 0.95, "presence_penalty": 1.5}
"""The parameters that a backend's `sampling` may set, with the values that `stream` falls back to."""


def checked_sampling(sampling: Mapping[str, Any] | None) -> dict[str, Any]:
    """The sampling parameters that were given, checked; None counts as not given.

    Raises ValueError for an unknown name and for a value that is not a finite number (a bool is none).
    """
    given = {name: value for name, value in (sampling or {}).items() if value is not None}
    for name, value in given.items():
        if name not in SAMPLING:
            raise ValueError(f"unknown sampling parameter {name!r}; known: {', '.join(SAMPLING)}")
        checked_number(name, value, whole=name == "top_k")
    return given


def checked_number(name: str, value: Any, *, whole: bool = False) -> Any:
    """The value as it came: ints stay ints. Raises ValueError unless it is a finite (or whole) number."""
    number = isinstance(value, int) or (not whole and isinstance(value, float) and math.isfinite(value))
    if not number or isinstance(value, bool):
        raise ValueError(f"{name} must be a {'whole' if whole else 'finite'} number, not {value!r}")
    return value


def checked_stop(stop: str | Sequence[str] | None) -> str | list[str] | None:
    """Stop sequences as they came, a text or a list of texts; None when there are none."""
    if stop is None or isinstance(stop, str):
        return stop
    if not isinstance(stop, Sequence) or not all(isinstance(item, str) for item in stop):
        raise ValueError(f"stop must be a text or a list of texts, not {stop!r}")
    return list(stop) or None


def encoded(body: Mapping[str, Any]) -> bytes:
    """The body as JSON in UTF-8.

    Raises ValueError for what JSON or UTF-8 has no form for: NaN and infinity (RFC 8259 §6), half of a
    surrogate pair (RFC 3629 §3), a value that is not JSON.
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        problem = f"the text holds {half!r}, half of a surrogate pair; repair the text first"
    except (TypeError, ValueError, RecursionError) as error:
        problem = str(error)
    raise ValueError(f"the request cannot be written as JSON: {problem}")
