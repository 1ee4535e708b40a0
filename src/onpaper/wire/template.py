"""Templates of JSON in a contract: a provider's shape is written down as it goes out, with placeholders in
it.

A string that is exactly one placeholder, such as `"{text}"`, becomes the value itself with its type; inside a
longer text it becomes text. A key whose value is `ABSENT` is left out, and so is a table of which that leaves
nothing. `"{null}"` is null, since TOML has none; `"{name?}"` is left out when it is null.
"""

from __future__ import annotations

import random
import re
import string
import uuid
from collections.abc import Mapping
from typing import Any, Final

ABSENT: Final = object()
_WHOLE = re.compile(r"\{(\w+)(\??)\}\Z")
_INSIDE = re.compile(r"\{(\w+)\}")
_PATTERN = re.compile(r"\{(hex|alnum|digits|uuid)(?::(\d+))?\}")
_ALPHABETS = {
    "hex": "0123456789abcdef",
    "alnum": string.ascii_letters + string.digits,
    "digits": string.digits,
}


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with its placeholders replaced. An unknown placeholder stays as it is: it is ordinary
    text."""
    if isinstance(template, str):
        if "{" not in template:
            return template
        whole = _WHOLE.match(template)
        if whole:
            name, optional = whole.groups()
            value = None if name == "null" else values.get(name, template)
            return ABSENT if optional and value is None else value
        return _INSIDE.sub(lambda found: _text(values.get(found[1], found[0])), template)
    if isinstance(template, dict):
        filled = {key: fill(value, values) for key, value in template.items()}
        kept = {key: value for key, value in filled.items() if value is not ABSENT}
        return kept if kept or not template else ABSENT
    if isinstance(template, (list, tuple)):
        return [value for value in (fill(item, values) for item in template) if value is not ABSENT]
    return template


def mentions(template: Any, name: str) -> bool:
    """Whether a template uses that placeholder anywhere."""
    if isinstance(template, str):
        return f"{{{name}}}" in template
    if isinstance(template, Mapping):
        return any(mentions(value, name) for value in template.values())
    return isinstance(template, (list, tuple)) and any(mentions(item, name) for item in template)


def make_id(pattern: str, rng: random.Random) -> str:
    """An id from a pattern such as `chatcmpl-{alnum:29}` or `{uuid}`."""

    def one(found: re.Match[str]) -> str:
        if found[1] == "uuid":
            return str(uuid.UUID(int=rng.getrandbits(128), version=4))
        return "".join(rng.choices(_ALPHABETS[found[1]], k=int(found[2] or 8)))

    return _PATTERN.sub(one, pattern)


def _text(value: Any) -> str:
    return "" if value is ABSENT or value is None else str(value)
