"""What is said of a value that a schema does not allow: plainly, and as the libraries say it on which servers are built.

A contract quotes the one that its provider is known to use. No I/O.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from onpaper.body import Violation

PLAIN = {
    "string": "a string",
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
COUNTED = {
    "minItems": "at least {} item{s}",
    "maxItems": "at most {} item{s}",
    "minLength": "at least {} character{s}",
    "maxLength": "at most {} character{s}",
    "minProperties": "at least {} member{s}",
    "maxProperties": "at most {} member{s}",
}
BOUNDS = {
    "minimum": ("greater than or equal to", "greater_than_equal"),
    "maximum": ("less than or equal to", "less_than_equal"),
    "exclusiveMinimum": ("greater than", "greater_than"),
    "exclusiveMaximum": ("less than", "less_than"),
}
RUST = {
    "string": "a string",
    "boolean": "a boolean",
    "integer": "u32",
    "number": "f32",
    "array": "a sequence",
    "object": "a map",
    "null": "unit",
}


def type_of(value: Any) -> str:
    """A value's type in JSON Schema's words; a whole number is an `integer`."""
    kinds = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "null")


def expected_types(violation: Violation) -> list[str]:
    """The types that the schema allows."""
    types = violation.schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def listed(words: Sequence[str], between: str = ", ", last: str = " or ") -> str:
    """Words in a row."""
    return between.join(words[:-1]) + last + words[-1] if len(words) > 1 else "".join(words)


def allowed(violation: Violation, form: Mapping[str, str]) -> str:
    """All values that a key may have, in a row; `form` is how a contract writes it (`each`, `between`, `last`)."""
    each = form.get("each", "'{value}'")
    values = [each.replace("{value}", one if isinstance(one, str) else json.dumps(one)) for one in _values(violation)]
    between = form.get("between", ", ")
    return listed(values, between, form.get("last", between))


def expected(violation: Violation, names: Mapping[str, str]) -> str:
    """What the schema asks for; `names` are a contract's own words for types."""
    if _values(violation):
        return allowed(violation, {"last": " or "})
    types = [names.get(one, PLAIN[one]) for one in expected_types(violation)]
    return ("one of " if len(types) > 1 else "") + listed(types) or "another value"


def plain(violation: Violation) -> str:
    """The violation in words that are nobody's."""
    if not violation.keyword:
        return violation.message
    limit = violation.limit
    if violation.keyword == "type":
        return f"expected {expected(violation, {})}, but got {got(violation)}"
    if _values(violation):
        several = "one of " if len(_values(violation)) > 1 else ""
        return f"expected {several}{allowed(violation, {})}"
    if violation.keyword in COUNTED:
        return f"expected {COUNTED[violation.keyword].format(limit, s='' if limit == 1 else 's')}"
    if violation.keyword in BOUNDS:
        return f"expected a value {BOUNDS[violation.keyword][0]} {limit}"
    if violation.keyword == "pattern":
        return f"expected a string that matches {violation.schema.get('pattern')!r}"
    return violation.message


def got(violation: Violation) -> str:
    """The type of the value that was sent, with its article."""
    kind = type_of(violation.value)
    return "a decimal number" if kind == "number" else PLAIN[kind]


def pydantic(violation: Violation) -> tuple[str, str]:
    """The kind and the words of an error of pydantic 2."""
    kind, limit, value = (expected_types(violation) or [""])[0], violation.limit, type_of(violation.value)
    if violation.situation == "missing_parameter":
        return "missing", "Field required"
    if violation.keyword == "type":
        return _PYDANTIC_TYPES.get((kind, value)) or _PYDANTIC_TYPES.get((kind, ""), ("value_error", plain(violation)))
    if _values(violation):
        return "literal_error", f"Input should be {allowed(violation, {'last': ' or '})}"
    if violation.keyword in BOUNDS:
        words, name = BOUNDS[violation.keyword]
        return name, f"Input should be {words} {limit}"
    if violation.keyword in ("minItems", "maxItems"):
        least = violation.keyword == "minItems"
        items = COUNTED[violation.keyword].format(limit, s="" if limit == 1 else "s")
        return "too_short" if least else "too_long", (
            f"List should have {items} after validation, not {len(violation.value)}"
        )
    if violation.keyword in ("minLength", "maxLength"):
        length = COUNTED[violation.keyword].format(limit, s="" if limit == 1 else "s")
        return "string_too_" + ("short" if violation.keyword == "minLength" else "long"), f"String should have {length}"
    if violation.keyword == "pattern":
        return "string_pattern_mismatch", f"String should match pattern '{violation.schema.get('pattern')}'"
    return "value_error", f"Value error, {plain(violation)}"


_NUMBER = "Input should be a valid number"
_INTEGER = "Input should be a valid integer"
_BOOLEAN = "Input should be a valid boolean"
_PYDANTIC_TYPES = {
    ("number", "string"): ("float_parsing", f"{_NUMBER}, unable to parse string as a number"),
    ("number", ""): ("float_type", _NUMBER),
    ("integer", "string"): ("int_parsing", f"{_INTEGER}, unable to parse string as an integer"),
    ("integer", "number"): ("int_from_float", f"{_INTEGER}, got a number with a fractional part"),
    ("integer", ""): ("int_type", _INTEGER),
    ("boolean", "string"): ("bool_parsing", f"{_BOOLEAN}, unable to interpret input"),
    ("boolean", "integer"): ("bool_parsing", f"{_BOOLEAN}, unable to interpret input"),
    ("boolean", ""): ("bool_type", _BOOLEAN),
    ("string", ""): ("string_type", "Input should be a valid string"),
    ("array", ""): ("list_type", "Input should be a valid list"),
    ("object", ""): ("dict_type", "Input should be a valid dictionary"),
}


def serde(violation: Violation) -> str:
    """The words of serde's errors, without the place of it."""
    options = [f"`{one}`" for one in _values(violation)]
    if options and isinstance(violation.value, str):
        among = f"one of {', '.join(options)}" if len(options) > 2 else " or ".join(options)
        return f"unknown variant `{violation.value}`, expected {among}"
    asked, value = (expected_types(violation) or ["string"])[0], violation.value
    wanted = "i32" if asked == "integer" and violation.schema.get("minimum", -1) < 0 else RUST[asked]
    shown = {
        "string": f"string {json.dumps(value, ensure_ascii=False)}",
        "integer": f"integer `{value}`",
        "number": f"floating point `{value}`",
        "boolean": f"boolean `{json.dumps(value)}`",
        "array": "sequence",
        "object": "map",
        "null": "null",
    }[type_of(value)]
    if violation.keyword in BOUNDS:
        return f"invalid value: {shown}, expected {wanted}"
    if violation.keyword != "type" and not options:
        return plain(violation)
    return f"invalid type: {shown}, expected {wanted}"


def nlohmann(violation: Violation) -> str:
    """The words of the type errors of nlohmann's JSON for C++, which has one name for all numbers."""

    def name(kind: str) -> str:
        return "number" if kind == "integer" else kind

    wanted = (expected_types(violation) or ["string"])[0]
    return f"type must be {name(wanted)}, but is {name(type_of(violation.value))}"


def _values(violation: Violation) -> list[Any]:
    if violation.keyword == "const":
        return [violation.schema["const"]]
    return list(violation.schema.get("enum", ())) if violation.keyword == "enum" else []
