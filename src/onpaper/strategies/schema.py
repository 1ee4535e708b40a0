"""The JSON Schema of a contract as plain alternatives: every way to satisfy it, one at a time, without
conditions.

`$ref`, `allOf`, `anyOf`, `oneOf`, `if`/`then`/`else` and lists of types are multiplied out, so that a
generator only has to know what an object, an array, a text or a number is. The validator stays the judge of
what comes out: what this reading overlooks (`not`, say) costs a rejected example, never a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_OBJECT = {
    "properties",
    "required",
    "additionalProperties",
    "minProperties",
    "maxProperties",
    "propertyNames",
}
_ARRAY = {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}
_STRING = {"minLength", "maxLength", "pattern", "format"}
_NUMBER = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_KEYWORDS = {
    "object": _OBJECT,
    "array": _ARRAY,
    "string": _STRING,
    "integer": _NUMBER,
    "number": _NUMBER,
    "boolean": set[str](),
    "null": set[str](),
}
TYPES = tuple(_KEYWORDS)


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to satisfy a schema: a value of one `type` under `rules`, or one of the listed `values`.

    `type` is None when any value will do.
    """

    type: str | None
    rules: Schema
    values: tuple[Any, ...] | None = None


class Reader:
    """Reads the schemas of one document; `definitions` is what its references point to."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions

    def alternatives(self, schema: Any) -> list[Alternative]:
        """Every alternative of a schema, those without structure first. Empty when nothing satisfies it."""
        found = [one for flat in self._flat(schema) for one in _typed(flat)]
        return sorted(_distinct(found), key=lambda one: one.type in ("array", "object"))

    def _flat(self, schema: Any) -> Iterator[dict[str, Any]]:
        """The schema without references and conditions, once for each combination of them."""
        if schema is True:
            yield {}
        if not isinstance(schema, Mapping):
            return
        rest = dict(schema)
        if "$ref" in rest:
            name = str(rest.pop("$ref")).removeprefix("#/$defs/")
            yield from self._both(rest, self._definitions[name])
        elif "allOf" in rest:
            yield from self._all_of(rest, rest.pop("allOf"))
        elif "anyOf" in rest or "oneOf" in rest:
            choices = rest.pop("anyOf") if "anyOf" in rest else rest.pop("oneOf")
            for choice in choices:
                yield from self._both(rest, choice)
        elif "if" in rest:
            condition, then, otherwise = rest.pop("if"), rest.pop("then", True), rest.pop("else", True)
            for flat in self._both(rest, condition):
                yield from self._both(flat, then)
            yield from self._both(_without(rest, condition), otherwise)
        else:
            yield rest

    def _both(self, one: Any, other: Any) -> Iterator[dict[str, Any]]:
        for left in self._flat(one):
            for right in self._flat(other):
                merged = _merged(left, right)
                if merged is not None:
                    yield merged

    def _all_of(self, rest: dict[str, Any], parts: list[Any]) -> Iterator[dict[str, Any]]:
        """A discriminated union is one alternative for each branch; any other `allOf` is merged part by
        part."""
        branches = [_branch(part) for part in parts]
        if parts and all(branches):
            for branch in branches:
                assert branch is not None
                key, value, then = branch
                fixed = {"type": "object", "required": [key], "properties": {key: {"const": value}}}
                for flat in self._both(rest, fixed):
                    yield from self._both(flat, then)
            return
        head, *tail = parts
        for flat in self._both(rest, head):
            if tail:
                yield from self._all_of(flat, tail)
            else:
                yield flat


def _branch(part: Any) -> tuple[str, Any, Any] | None:
    """`(key, value, then)` of `if key is value then …`, or None for anything else."""
    condition = part.get("if") if isinstance(part, Mapping) else None
    properties = condition.get("properties") if isinstance(condition, Mapping) else None
    if not isinstance(properties, Mapping) or len(properties) != 1 or "else" in part:
        return None
    ((key, value),) = properties.items()
    if not isinstance(value, Mapping) or set(value) != {"const"}:
        return None
    return key, value["const"], part.get("then", True)


def _without(schema: dict[str, Any], condition: Any) -> dict[str, Any]:
    """The schema for values that do not satisfy a condition; only conditions on the type are understood."""
    if not isinstance(condition, Mapping) or set(condition) != {"type"}:
        return schema
    excluded = set(_listed(condition["type"]))
    return {**schema, "type": [name for name in _listed(schema.get("type", TYPES)) if name not in excluded]}


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any] | None:
    """A schema that asks for both, or None when nothing can satisfy both types."""
    merged = {**one, **other}
    if "type" in one and "type" in other:
        common = _common(_listed(one["type"]), _listed(other["type"]))
        if not common:
            return None
        merged["type"] = common
    if "enum" in one and "enum" in other:
        merged["enum"] = [value for value in one["enum"] if value in other["enum"]]
    for keyword in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
        if keyword in one and keyword in other:
            merged[keyword] = max(one[keyword], other[keyword])
    for keyword in ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"):
        if keyword in one and keyword in other:
            merged[keyword] = min(one[keyword], other[keyword])
    if "required" in one and "required" in other:
        merged["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    if "properties" in one or "properties" in other:
        merged["properties"] = _properties(one, other)
    if False in (one.get("additionalProperties"), other.get("additionalProperties")):
        merged["additionalProperties"] = False
    return merged


def _properties(one: Schema, other: Schema) -> dict[str, Any]:
    """The properties of both; a schema that is closed to unknown keys is closed to the other's own, too."""
    mine, theirs = one.get("properties", {}), other.get("properties", {})
    names = list(dict.fromkeys([*mine, *theirs]))
    if one.get("additionalProperties") is False:
        names = [name for name in names if name in mine]
    if other.get("additionalProperties") is False:
        names = [name for name in names if name in theirs]
    return {name: _one_schema([side[name] for side in (mine, theirs) if name in side]) for name in names}


def _one_schema(schemas: list[Any]) -> Any:
    telling = [schema for schema in schemas if schema not in ({}, True)]
    return telling[0] if len(telling) == 1 else {"allOf": telling} if telling else {}


def _common(one: Iterable[str], other: Iterable[str]) -> list[str]:
    """Types that are in both; an integer is a number."""
    left, right = set(one), set(other)
    both = left & right
    if ("integer" in left and "number" in right) or ("integer" in right and "number" in left):
        both.add("integer")
    return [name for name in TYPES if name in both]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _typed(flat: dict[str, Any]) -> Iterator[Alternative]:
    """One alternative for each type that the schema allows."""
    if "const" in flat or "enum" in flat:
        values = [flat["const"]] if "const" in flat else flat["enum"]
        allowed = _listed(flat.get("type", TYPES))
        kept = tuple(value for value in values if any(is_of(value, name) for name in allowed))
        if kept:
            yield Alternative(type_of(kept[0]), {}, kept)
        return
    named = _listed(flat["type"]) if "type" in flat else _implied(flat)
    for name in named:
        if name == "integer" and "number" in named:
            continue
        yield Alternative(name, {key: value for key, value in flat.items() if key in _KEYWORDS[name]})
    if not named and "type" not in flat:
        yield Alternative(None, {})


def _implied(flat: Schema) -> list[str]:
    """The types that a schema without `type` speaks about: what it means, though any other type passes it."""
    kinds = (("object", _OBJECT), ("array", _ARRAY), ("string", _STRING), ("number", _NUMBER))
    return [name for name, keywords in kinds if keywords & set(flat)]


def _distinct(alternatives: Iterable[Alternative]) -> list[Alternative]:
    seen: list[Alternative] = []
    for one in alternatives:
        if one not in seen:
            seen.append(one)
    return seen


def type_of(value: Any) -> str:
    """The JSON type of a value; a whole number is an integer."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "number"
    return "string" if isinstance(value, str) else "object" if isinstance(value, Mapping) else "array"


def is_of(value: Any, name: str) -> bool:
    """Whether a value is of that JSON Schema type."""
    own = type_of(value)
    return own == name or (name == "number" and own == "integer")
