"""The shape of a JSON value in one line: keys, and what kind of value each holds, never the words."""

from __future__ import annotations

from typing import Any

VOCABULARY = frozenset({"object", "role"})
"""Keys whose text belongs to the protocol: it is part of the shape."""

OPAQUE = frozenset(
    {"arguments", "logprobs", "input", "parameters", "headers", "content_filter_results", "provider_metadata"}
)
"""Keys whose object is the user's, the model's or an upstream's own: only that it is an object counts."""

SAID = frozenset({"content", "reasoning", "reasoning_content", "refusal", "thinking", "text"})
"""Keys that hold what is said."""


def kind(value: Any) -> str:
    """`null`, `true/false`, `number`, `''`, `text`, `[]`, `[…]` or `{…}`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true/false"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "text" if value else "''"
    if isinstance(value, list):
        return "[…]" if value else "[]"
    return "{…}"


def shape(value: Any, *, key: str = "", said: bool = False) -> str:
    """The shape of a value under a key. With `said`, an empty piece of what is said counts as a piece."""
    if isinstance(value, str):
        if key in VOCABULARY:
            return repr(value)
        return "text" if value or (said and key in SAID) else "''"
    if isinstance(value, list):
        return "[" + " | ".join(sorted({shape(item, said=said) for item in value})) + "]"
    if isinstance(value, dict):
        if key in OPAQUE or key == "content":
            return "object"
        members = (f"{name}: {shape(item, key=name, said=said)}" for name, item in sorted(value.items()))
        return "{" + ", ".join(members) + "}"
    return kind(value)
