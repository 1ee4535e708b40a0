"""JSON as RFC 8259 has it, read more strictly than Python does: what a server's parser would not take is refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEEPEST = 128
"""How deep arrays and objects may lie in each other (RFC 8259 §9 lets a parser set a limit): as deep as serde_json
reads, and what a validator can follow."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_TOO_DEEP = f"arrays and objects lie more than {DEEPEST} deep"


def parse(raw: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Half a surrogate pair, which no UTF-8 can hold, is read as U+FFFD. Raises ValueError for what is not JSON, for
    NaN and the infinities, for a number that is too large for any double, and for what lies too deep.
    """
    text = raw.decode("utf-8")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if len(raw.translate(None, _NO_BRACKETS)) > 2 * DEEPEST and _lies_deeper(value, DEEPEST):
        raise ValueError(_TOO_DEEP)
    if "\\" in text and _SURROGATE.search(text):
        whole = json.dumps(value, ensure_ascii=False)  # pairs are one character by now, halves are not
        return json.loads(whole.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"))
    return value


def _lies_deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        level = inner
    return any(isinstance(one, (dict, list)) for one in level)


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large for a number")
    return number


_DECODER = json.JSONDecoder(parse_constant=_constant, parse_float=_finite)
