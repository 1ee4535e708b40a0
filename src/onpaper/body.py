"""A request body and the schema of a contract for it: shorthands written out, violations named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SITUATIONS = {
    "type": "invalid_type",
    "maximum": "above_maximum",
    "exclusiveMaximum": "above_maximum",
    "minimum": "below_minimum",
    "exclusiveMinimum": "below_minimum",
    "minItems": "empty_array",
}
"""The situation of a broken keyword; `invalid_value` for any other."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a request body breaks the contract.

    `situation` names the contract's error for it, `pointer` is the JSON pointer (RFC 6901) of what is wrong (`/` is
    the body itself), `message` says it in words; `param`, `value` and `limit` are what an error message may quote.
    `schema` is what the contract asks of the value and `keyword` what of it is broken; a rule's violation has neither.
    """

    situation: str
    pointer: str
    message: str
    param: str
    value: Any = None
    limit: Any = None
    code: Any = None
    keyword: str = field(default="", repr=False, compare=False)
    schema: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def expanded(value: Any) -> Any:
    """Our two shorthands as JSON Schema: `is` refers to a definition, `choose` branches on a discriminator.

    Branches are written with if/then, not oneOf, so that a validator names the exact place of an error.
    """
    if isinstance(value, list):
        return [expanded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "is" in value:
        return {"$ref": f"#/$defs/{value['is']}"}
    if "choose" not in value:
        return {key: expanded(item) for key, item in value.items()}
    key = value["choose"]
    branches = {name: expanded(branch) for name, branch in value.items() if name != "choose"}
    return {
        "type": "object",
        "required": [key],
        "properties": {key: {"enum": list(branches)}},
        "allOf": [
            {"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": branch}
            for name, branch in branches.items()
        ],
    }


def opened(schema: Any, top: bool = False) -> Any:
    """The same schema with unknown keys allowed below the top level."""
    if isinstance(schema, list):
        return [opened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: opened(value) for key, value in schema.items() if top or key != "additionalProperties" or value}


def _step(name: str) -> str:
    """A step of a JSON pointer."""
    return "/" + name.replace("~", "~0").replace("/", "~1")


def violations_of(error: Any, body: Any, schema: Any) -> list[Violation]:
    """What an error of the validator of a schema means in the words of a contract."""
    parts = [str(part) for part in error.instance_path]
    kind = error.kind
    value: Any = body
    for part in error.instance_path:
        value = value[part if isinstance(value, list) else str(part)]  # "50256" as a key comes back as a number
    pointer = "".join(map(_step, parts))
    dotted = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts).lstrip(".")
    if kind.name == "additionalProperties":
        inside = f" in {dotted}" if dotted else ""
        return [
            Violation(
                "unknown_parameter",
                f"{pointer}{_step(unknown)}",
                f"the provider does not accept {unknown!r}{inside}",
                f"{dotted}.{unknown}".lstrip("."),
                value[unknown],
            )
            for unknown in kind.unexpected
        ]
    if kind.name == "required":
        missing = f"{dotted}.{kind.property}".lstrip(".")
        return [Violation("missing_parameter", pointer or "/", f"{missing!r} is missing", missing)]
    situation = SITUATIONS.get(kind.name, "invalid_value")
    asked = schema
    for step in list(error.schema_path)[:-1]:
        asked = asked[step]
    limit = getattr(kind, "limit", None)
    return [
        Violation(
            situation, pointer or "/", error.message, dotted, value, limit, keyword=list(error.schema_path)[-1], schema=asked
        )
    ]
