"""Strategies for what a JSON Schema accepts: limits and zeros weighted up, readable when shrunk."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from onpaper.answer import MODELS
from onpaper.strategies.drawing import mostly
from onpaper.strategies.schema import Alternative, Reader, Schema
from onpaper.strategies.texts import json_objects, json_schemas, json_values, names, texts

UNBOUNDED_INTEGERS = (0, 1, -1, 2, 7, 42, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1)
UNBOUNDED_NUMBERS = (0, 1, 0.5, -0.5, 1.1, 1e-7, -1, 2, 1000, 123456.789)
CLASS = re.compile(r"\^?\[((?:[^\]\\^]|\\.)+)\](?:\{(\d+)(?:,(\d*))?\}|(\+|\*))\$?\Z")

# What a value without rules means by the key it stands under, so that it looks like the real thing; `x[]`
# is an item of x.
MEANT: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("model", "string"): st.sampled_from((*MODELS, "m")),
    ("role", "string"): st.sampled_from(("user", "system", "assistant")),
    ("name", "string"): names(),
    ("id", "string"): st.sampled_from(("call00001", "call00002", "Zz9Zz9Zz9")),
    ("tool_call_id", "string"): st.sampled_from(("call00001", "call00002")),
    ("arguments", "string"): st.sampled_from(("{}", '{"city":"Paris"}', '{"q":"é\\u2028","n":[0,null]}', "")),
    ("parameters", "object"): json_schemas(),
    ("schema", "object"): json_schemas(),
    ("input_schema", "object"): json_schemas(),
    ("url", "string"): st.sampled_from(("https://example.org/a.png", "data:image/png;base64,iVBORw0KGgo=")),
    ("data", "string"): st.just("UklGRg=="),
    ("file_data", "string"): st.just("JVBERi0="),
    ("type", "string"): st.just("function"),
    ("content[]", "object"): texts().map(lambda text: {"type": "text", "text": text}),
    ("tools[]", "object"): st.builds(
        lambda name, parameters: {"type": "function", "function": {"name": name, "parameters": parameters}},
        names(),
        json_schemas(),
    ),
    ("tool_calls[]", "object"): names().map(
        lambda name: {"id": "call00001", "type": "function", "function": {"name": name, "arguments": "{}"}}
    ),
    ("messages[]", "object"): texts().map(lambda text: {"role": "user", "content": text}),
    ("function", "object"): names().map(lambda name: {"name": name}),
}


def meant(name: str, kind: str, otherwise: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What a value of that JSON type means under that key, where the schema leaves it open."""
    return MEANT.get((name, kind), otherwise)


class Accepted:
    """Strategies for what a schema accepts; `definitions` is what its references point to."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self.reader = Reader(definitions)
        self._made: dict[tuple[int, str], tuple[Any, st.SearchStrategy[Any]]] = {}

    def of(self, schema: Any, name: str = "") -> st.SearchStrategy[Any]:
        """Values of a schema, which stand under the key `name`; nothing to draw when there are none."""
        key = (id(schema), name)
        if key not in self._made:
            # A schema that refers to itself finds the deferred one; any other is spared the detour. The
            # schema is kept, so that its id stays its own.
            self._made[key] = (schema, st.deferred(lambda: self._made[key][1]))
            strategies = [self.alternative(one, name) for one in self.reader.alternatives(schema)]
            self._made[key] = (schema, strategies[0] if len(strategies) == 1 else st.one_of(strategies))
        return self._made[key][1]

    def alternative(self, one: Alternative, name: str = "") -> st.SearchStrategy[Any]:
        """Values of one alternative."""
        if one.values is not None:
            return st.sampled_from(one.values) if len(one.values) > 1 else st.just(one.values[0])
        if one.type == "object":
            return self.objects(one.rules, name)
        if one.type == "array":
            return self.arrays(one.rules, name)
        if one.type in ("integer", "number"):
            return numbers(one.rules, whole=one.type == "integer")
        if one.type == "string":
            return strings(one.rules, name)
        if one.type == "boolean":
            return st.booleans()
        if one.type == "null":
            return st.none()
        return meant(name, "object", meant(name, "string", json_values()))

    def arrays(self, rules: Schema, name: str = "") -> st.SearchStrategy[list[Any]]:
        """Lists, short ones mostly, and some of the greatest length allowed."""
        item = self.of(rules.get("items", {}), f"{name}[]")
        low, high = rules.get("minItems", 0), rules.get("maxItems")
        unique = rules.get("uniqueItems", False)
        short = st.lists(
            item, min_size=low, max_size=max(low, min(low + 2, high if high is not None else low + 2))
        )
        if unique or high is None or high <= low:
            return short
        full = st.lists(item, min_size=max(1, low), max_size=max(1, low)).map(
            lambda items: repeated(items, high)
        )
        return short | short | short | full

    def objects(self, rules: Schema, name: str = "") -> st.SearchStrategy[dict[str, Any]]:
        """Objects with every required key and a few of the others; unknown keys only where the schema
        describes them."""
        properties: Mapping[str, Any] = rules.get("properties", {})
        required, further = rules.get("required", ()), rules.get("additionalProperties", True)
        if not properties and not required:
            if isinstance(further, Mapping):
                return self._maps(further, rules, name)
            return meant(name, "object", json_objects()) if further is not False else st.builds(dict)
        always = {key: self.of(properties.get(key, {}), key) for key in required}
        optional = {key: self.of(value, key) for key, value in properties.items() if key not in always}
        return chosen(always, optional)

    def _maps(self, value: Any, rules: Schema, name: str) -> st.SearchStrategy[dict[str, Any]]:
        """Objects with any keys: token numbers mostly, since that is what providers map from."""
        values = self.of(value, name)
        low, high = rules.get("minProperties", 0), rules.get("maxProperties")
        few = st.dictionaries(
            st.sampled_from(("50256", "0", "1", "k")), values, min_size=low, max_size=max(low, 2)
        )
        if high is None:
            return few
        return few | few | few | values.map(lambda one: {f"k{number}": one for number in range(high)})


def chosen(
    always: Mapping[str, st.SearchStrategy[Any]], optional: Mapping[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with every key of `always` and none, one, two, or all of `optional`."""
    picks = st.sampled_from(_picks(tuple(optional)))

    @st.composite
    def chosen_keys(draw: st.DrawFn) -> dict[str, Any]:
        drawn = {key: draw(value) for key, value in always.items()}
        if optional:
            drawn.update((key, draw(optional[key])) for key in draw(picks))
        return drawn

    return chosen_keys()


def _picks(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Choices among names, the smaller ones first and as likely, all together, as the larger ones."""
    single = [(name,) for name in names]
    pairs = list(itertools.combinations(names, 2))[: 3 * len(names)]
    return [(), *[()] * (len(names) // 2), *single, *pairs, names]


def numbers(rules: Schema, *, whole: bool) -> st.SearchStrategy[Any]:
    """Numbers within bounds, in JSON's two spellings of a whole number where fractions are allowed.

    Two thirds of them are limits, zeros and ones; the others have at most two decimals, so that people can
    read them.
    """
    low, high = _bounds(rules, whole)
    step = rules.get("multipleOf")
    if step:
        first, last = math.ceil((low if low is not None else -1000) / step), math.floor((high or 1000) / step)
        return st.integers(first, max(first, last)).map(lambda times: times * step)
    special = UNBOUNDED_INTEGERS if whole else UNBOUNDED_NUMBERS
    candidates = [*special, low, high]
    if not whole:
        candidates += [float(one) for one in (0, 1, low, high) if one is not None]
        candidates += [] if high is None else [high - 0.01, math.nextafter(high, -math.inf)]
    limits = [one for one in candidates if one is not None and _within(one, low, high)]
    if not limits and not whole:
        limits = [low if low is not None else high]
    scale = 1 if whole else 100
    start = math.ceil((low if low is not None else (high or 0) - 1000) * scale)
    stop = math.floor((high if high is not None else max(low or 0, 0) + 1000) * scale)
    if start > stop:
        return st.sampled_from(_unlike(limits))
    inside = st.integers(start, stop) if whole else st.integers(start, stop).map(_hundredths)
    ends = [one for one in (low, high) if one is not None]  # these come up more often than any other
    return mostly([*_unlike(limits), *ends * 4], inside) if limits else inside


def _hundredths(count: int) -> float:
    return count / 100


def _bounds(rules: Schema, whole: bool) -> tuple[Any, Any]:
    low, high = rules.get("minimum"), rules.get("maximum")
    if "exclusiveMinimum" in rules:
        above = rules["exclusiveMinimum"]
        low = math.floor(above) + 1 if whole else above + 0.01
    if "exclusiveMaximum" in rules:
        below = rules["exclusiveMaximum"]
        high = math.ceil(below) - 1 if whole else below - 0.01
    if whole:
        low, high = None if low is None else math.ceil(low), None if high is None else math.floor(high)
    return low, high


def _within(value: float, low: Any, high: Any) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _unlike(values: list[Any]) -> list[Any]:
    """Without repetitions, whole ones near zero first; 1 and 1.0 are two: JSON writes them differently."""
    unlike = {(type(value), value): value for value in values}.values()
    return sorted(
        unlike, key=lambda value: (value != int(value), abs(value), value < 0, isinstance(value, float))
    )


def strings(rules: Schema, name: str = "") -> st.SearchStrategy[str]:
    """Texts within the given length, of the given pattern."""
    low, high = rules.get("minLength", 0), rules.get("maxLength")
    if "pattern" in rules:
        return _of_pattern(rules["pattern"])
    candidates = meant(name, "string", texts())
    if high is not None and high <= 64:
        candidates = candidates.map(lambda text: text[:high])
        candidates = candidates | st.just("x" * high)
    elif high is not None:
        candidates = candidates | st.just("x" * high) if high <= 100_000 else candidates
        return candidates.filter(lambda text: low <= len(text) <= high)
    return (
        candidates.map(lambda text: text or "x" * low)
        if low == 1
        else candidates.filter(lambda t: len(t) >= low)
    )


def _of_pattern(pattern: str) -> st.SearchStrategy[str]:
    """Texts of a pattern; the usual case, a class of characters with a length, without regex machinery."""
    plain = CLASS.match(pattern)
    if plain is None:
        return st.from_regex(pattern, fullmatch=pattern.startswith("^") and pattern.endswith("$"))
    low = int(plain[2]) if plain[2] else 1 if plain[4] == "+" else 0
    high = int(plain[3]) if plain[3] else low if plain[2] and plain[3] is None else max(low, 64)
    alphabet = [chr(code) for code in range(32, 127) if re.fullmatch(f"[{plain[1]}]", chr(code))]
    short = st.text(alphabet, min_size=low, max_size=min(high, max(low, 12)))
    return short | st.just((alphabet[0] * high)[:high])


def repeated(items: list[Any], count: int) -> list[Any]:
    """The items over and over until there are `count`; tools under names of their own, or they were one."""
    filled = [items[number % len(items)] for number in range(count)]
    return [renamed(item, number) for number, item in enumerate(filled)]


def renamed(tool: Any, number: int) -> Any:
    """The same tool under a name that ends in its number; anything else as it is."""
    function = tool.get("function") if isinstance(tool, dict) else None
    if (
        not isinstance(function, dict)
        or not isinstance(function.get("name"), str)
        or "parameters" not in function
    ):
        return tool
    return {**tool, "function": {**function, "name": f"{function['name'][:58]}-{number}"}}
