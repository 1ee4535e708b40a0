"""The axes that streams, whole replies and lines have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from onpaper.truth.shapes import kind, shape

Feature = tuple[str, str]
"""`(axis, value)`, such as `("delta of the opening", "{content: '', role: 'assistant'}")`."""

CALLS: list[dict[str, Any]] = [{}]
"""Stands for tool calls in the shape of what holds them: they have axes of their own."""


def keys(value: Mapping[str, Any]) -> str:
    """The keys of an object, sorted."""
    return "{" + ", ".join(sorted(value)) + "}"


def kinds(axis: str, value: Mapping[str, Any], but: Iterable[str]) -> Iterator[Feature]:
    """An axis for each key of an object, but some, with the shape of what it holds."""
    for key, item in value.items():
        if key not in but:
            yield f"{axis}.{key}", shape(item, key=key)


def word(value: Mapping[str, Any], key: str) -> str:
    """A word of a fixed vocabulary as it is; or null, or missing."""
    said = value.get(key, "missing")
    return said if isinstance(said, str) and said else kind(said)


def identity(axis: str, values: list[dict[str, Any]], asked: Mapping[str, Any]) -> Iterator[Feature]:
    """Whether ids and the model's name stay as they are, and whether the model is called as it was asked."""
    named = [found for value in values if (found := _text(value, "id"))]
    if len(values) > 1:
        if named:
            yield f"id of a {axis}", "constant" if len(set(named)) == 1 else "changes"
        models = {found for value in values if (found := _text(value, "model"))}
        if len(models) > 1:
            yield f"model of a {axis}", "changes"
    model = next((found for value in values if (found := _text(value, "model"))), None)
    if model is not None and isinstance(asked.get("model"), str):
        yield f"model of a {axis}", "as asked" if model == asked["model"] else "another name"


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
