"""Strategies for values that a JSON Schema refuses, each broken in one place and in one way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from hypothesis import strategies as st

from onpaper.strategies.accepted import Accepted, repeated
from onpaper.strategies.schema import Alternative, Schema

EXAMPLES: dict[str, Any] = {
    "string": "x",
    "null": None,
    "boolean": True,
    "integer": 7,
    "number": 0.5,
    "array": [1],
    "object": {"x": 1},
}
UNKNOWN = "no_such_key"
LONGEST = 100_000
"""Texts and lists beyond this length are not made, in characters and items: the limit is then not tried."""


class Refused:
    """Strategies for what a schema refuses.

    The validator has the last word on what is drawn here: now and then a value turns out to be allowed
    after all.
    """

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted
        self._made: dict[tuple[int, str], tuple[Any, st.SearchStrategy[Any]]] = {}

    def of(self, schema: Any, name: str = "") -> st.SearchStrategy[Any]:
        """Values that break a schema in one way; nothing to draw for a schema that allows everything."""
        made = self._made.get((id(schema), name))
        if made is None:
            made = self._made[id(schema), name] = (
                schema,
                st.deferred(lambda: st.one_of(list(self.ways(schema, name)))),
            )
        return made[1]

    def ways(self, schema: Any, name: str = "") -> Iterator[st.SearchStrategy[Any]]:
        """A strategy for each way to break a schema."""
        alternatives = self._accepted.reader.alternatives(schema)
        if any(one.type is None and one.values is None for one in alternatives):
            return
        types = {one.type for one in alternatives}
        if "number" in types:
            types.add("integer")
        wrong = [value for kind, value in EXAMPLES.items() if kind not in types]
        if "string" not in types and ("integer" in types or "boolean" in types):
            wrong += ["1", "true", ""]
        if wrong:
            yield st.sampled_from(wrong)
        for one in alternatives:
            yield from self._alternative(one, name)

    def _alternative(self, one: Alternative, name: str) -> Iterator[st.SearchStrategy[Any]]:
        if one.values is not None:
            if one.type == "string":
                yield st.sampled_from(("no-such-value", "", str(one.values[0]).upper() + " "))
        elif one.type in ("integer", "number"):
            yield from _numbers(one.rules, whole=one.type == "integer")
        elif one.type == "string":
            yield from _strings(one.rules)
        elif one.type == "array":
            yield from self._arrays(one.rules, name)
        elif one.type == "object":
            yield from self._objects(one.rules, name)

    def _arrays(self, rules: Schema, name: str) -> Iterator[st.SearchStrategy[Any]]:
        items = rules.get("items", {})
        good, low, high = (
            self._accepted.of(items, f"{name}[]"),
            rules.get("minItems", 0),
            rules.get("maxItems"),
        )
        if low == 1:
            yield st.just([])
        elif low:
            yield st.lists(good, min_size=low - 1, max_size=low - 1)
        if high is not None and high < LONGEST:
            yield good.map(lambda one: repeated([one], high + 1))
        bad = self.of(items, f"{name}[]")
        yield st.builds(
            lambda before, one: [*before, one], st.lists(good, min_size=max(0, low - 1), max_size=1), bad
        )

    def _objects(self, rules: Schema, name: str) -> Iterator[st.SearchStrategy[Any]]:
        good = self._accepted.objects(rules, name)
        properties: Mapping[str, Any] = rules.get("properties", {})
        further, high = rules.get("additionalProperties", True), rules.get("maxProperties")
        for key in rules.get("required", ()):
            yield good.map(partial(without, key))
        if further is False:
            yield st.builds(partial(put, UNKNOWN), good, st.just(1))
        elif isinstance(further, Mapping):
            for key in ("k", "50256"):  # keys like numbers come up in `logit_bias`, and trip careless readers
                yield st.builds(partial(put, key), good, self.of(further, name))
        if high is not None:
            value = self._accepted.of(further if isinstance(further, Mapping) else {})
            yield value.map(lambda one: {f"k{number}": one for number in range(high + 1)})
        for key, value in properties.items():
            yield st.builds(partial(put, key), good, self.of(value, key))


def put(key: str, whole: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """The object with that value under a key."""
    return {**whole, key: value}


def without(key: str, whole: Mapping[str, Any]) -> dict[str, Any]:
    """The object without a key."""
    return {name: value for name, value in whole.items() if name != key}


def _numbers(rules: Schema, *, whole: bool) -> Iterator[st.SearchStrategy[Any]]:
    low, high = rules.get("minimum"), rules.get("maximum")
    if low is not None:
        yield st.sampled_from([low - 1, low - 1000] + ([] if whole else [low - 0.01]))
    if high is not None:
        yield st.sampled_from([high + 1, high + 10**6] + ([] if whole else [high + 0.01]))
    if "exclusiveMinimum" in rules:
        yield st.sampled_from([rules["exclusiveMinimum"], rules["exclusiveMinimum"] - 1])
    if "exclusiveMaximum" in rules:
        yield st.sampled_from([rules["exclusiveMaximum"], rules["exclusiveMaximum"] + 1])
    if whole:
        yield st.just((low if low is not None else 0) + 0.5)


def _strings(rules: Schema) -> Iterator[st.SearchStrategy[str]]:
    low, high = rules.get("minLength", 0), rules.get("maxLength")
    if low:
        yield st.just("x" * (low - 1))
    if high is not None and high < LONGEST:
        yield st.just("x" * (high + 1))
    if "pattern" in rules:
        yield st.sampled_from(("not allowed!", "", "é", "x" * 500))
