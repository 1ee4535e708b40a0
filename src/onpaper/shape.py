"""A reply cut to what the request asked for: `max_tokens`, `stop`, `tool_choice`, `response_format`.

Each is honoured only where the contract accepts the key, as the real provider does. One piece of text
counts as one token. A mock with its own bytes (`events`, `body`) is left alone: it says exactly what it says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onpaper.contract import Contract
from onpaper.mock import Call, Say


def shape(say: Say, body: Mapping[str, Any], contract: Contract) -> Say:
    """The reply as the provider would give it to this request body."""
    if say.events is not None or say.body is not None or say.error is not None or say.inject:
        return say
    accepted = contract.honoured
    options = body.get("options")
    options = options if isinstance(options, Mapping) else {}
    if "tool_choice" in accepted:
        say = _choose_tool(say, body)
    if "response_format" in accepted and say.text:
        say = _format(say, body.get("response_format"))
    stop = body.get("stop") if "stop" in accepted else options.get("stop")
    limits = [body.get(key) for key in ("max_tokens", "max_completion_tokens") if key in accepted]
    limits.append(options.get("num_predict"))
    return _limit(_stop(say, stop), limits)


def _choose_tool(say: Say, body: Mapping[str, Any]) -> Say:
    choice, tools = body.get("tool_choice"), body.get("tools")
    if choice == "none" and say.tool_calls:
        return replace(say, tool_calls=(), finish=None, text=say.text or ("I ", "cannot ", "call ", "tools."))
    names = [
        tool["function"]["name"]
        for tool in (tools if isinstance(tools, list) else ())
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict) and "name" in tool["function"]
    ]
    function = choice.get("function") if isinstance(choice, dict) else None
    named: Any = function.get("name") if isinstance(function, dict) else None
    if named in names:
        own = [call for call in say.tool_calls if call.name == named]
        return replace(
            say, tool_calls=tuple(own) or (Call(named, (_arguments(tools, named),)),), text=(), finish=None
        )
    if choice in ("required", "any") and names and not say.tool_calls:
        return replace(
            say, tool_calls=(Call(names[0], (_arguments(tools, names[0]),)),), text=(), finish=None
        )
    return say


def _arguments(tools: Any, name: str) -> str:
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and function.get("name") == name:
            return json.dumps(example(function.get("parameters") or {}))
    return "{}"


def _format(say: Say, wanted: Any) -> Say:
    kind = wanted.get("type") if isinstance(wanted, Mapping) else None
    if kind == "json_schema":
        schema = (
            wanted.get("json_schema", {}).get("schema", {})
            if isinstance(wanted.get("json_schema"), Mapping)
            else {}
        )
        return replace(say, text=_pieces(json.dumps(example(schema))))
    if kind == "json_object":
        try:
            json.loads("".join(say.text))
        except ValueError:
            return replace(say, text=_pieces(json.dumps({"answer": "".join(say.text)}, ensure_ascii=False)))
    return say


def _pieces(text: str) -> tuple[str, ...]:
    return tuple(text[at : at + 8] for at in range(0, len(text), 8))


MOST_VALUES = 1000
MOST_CHARACTERS = 10_000
DEEPEST = 16


def example(schema: Any) -> Any:
    """A small value that is valid against a JSON Schema of the kind that structured output accepts.

    It has at most `MOST_VALUES` values, each of at most `MOST_CHARACTERS` characters: a schema is whatever a client sent.
    """
    return _Example(schema).of(schema, 0)


class _Example:
    """One value in the making; `left` is how many values it may still get."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.left = MOST_VALUES

    def of(self, schema: Any, depth: int) -> Any:
        self.left -= 1
        if not isinstance(schema, Mapping) or depth > DEEPEST or self.left < 0:
            return None
        if "$ref" in schema:
            target = self.root
            for part in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
                target = target.get(part, {}) if part and isinstance(target, Mapping) else target
            return self.of(target, depth + 1)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if _list(schema, "enum"):
            return schema["enum"][0]
        for key in ("anyOf", "oneOf"):
            if choices := _list(schema, key):
                flat = [one for one in choices if not (isinstance(one, Mapping) and "$ref" in one)]
                return self.of((flat or choices)[0], depth + 1)
        if parts := _list(schema, "allOf"):
            values = [self.of(one, depth + 1) for one in parts]
            return {key: value for one in values if isinstance(one, dict) for key, value in one.items()}
        kind = schema.get("type", "object" if "properties" in schema else None)
        return self._of_type(kind[0] if isinstance(kind, list) and kind else kind, schema, depth)

    def _of_type(self, kind: Any, schema: Mapping[str, Any], depth: int) -> Any:
        if kind == "object":
            properties = schema.get("properties")
            properties = properties if isinstance(properties, Mapping) else {}
            required = _list(schema, "required") if "required" in schema else properties if depth < 8 else ()
            return {str(name): self.of(properties.get(str(name), {}), depth + 1) for name in required}
        if kind == "array":
            items = [self.of(one, depth + 1) for one in _list(schema, "prefixItems")]
            missing = min(_length(schema, "minItems", 0) - len(items), self.left)
            return items + [self.of(schema.get("items", {}), depth + 1) for _ in range(missing)]
        if kind in ("integer", "number"):
            return _number(schema, kind == "integer")
        if kind == "string":
            formats = {"date": "2026-01-01", "date-time": "2026-01-01T00:00:00Z", "email": "a@example.org",
                       "uuid": "00000000-0000-4000-8000-000000000000", "uri": "https://example.org/"}  # fmt: skip
            text = formats.get(str(schema.get("format", "")), "text")
            longest = _length(schema, "maxLength", MOST_CHARACTERS)
            return text.ljust(_length(schema, "minLength", 0), "x")[:longest]
        return {"boolean": True, "null": None}.get(str(kind), "text")


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _length(schema: Mapping[str, Any], key: str, otherwise: int) -> int:
    value = schema.get(key)
    return min(value, MOST_CHARACTERS) if type(value) is int and value >= 0 else otherwise


def _number(schema: Mapping[str, Any], whole: bool) -> Any:
    bounds = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
    known = {key: schema[key] for key in bounds if _is_number(schema.get(key))}
    low, high = known.get("minimum"), known.get("maximum")
    if low is None and "exclusiveMinimum" in known:
        low = known["exclusiveMinimum"] + (1 if whole else 0.5)
    if high is None and "exclusiveMaximum" in known:
        high = known["exclusiveMaximum"] - (1 if whole else 0.5)
    value = low if low is not None else min(1, high) if high is not None else 1
    step = known.get("multipleOf")
    if step:
        value = -(-value // step) * step
    return int(value) if whole else value


def _stop(say: Say, stop: Any) -> Say:
    """Cut before the first stop sequence; the sequence itself is not said."""
    sequences = (
        [stop]
        if isinstance(stop, str)
        else [one for one in stop if isinstance(one, str)]
        if isinstance(stop, list)
        else []
    )
    text = "".join(say.text)
    found = [at for at in (text.find(one) for one in sequences if one) if at >= 0]
    if not found:
        return say
    kept = _cut(say.text, min(found))
    usage = None if say.usage is None else {**say.usage, "completion": max(1, len(kept) + len(say.reasoning))}
    return replace(say, text=kept, tool_calls=(), finish="stop", usage=usage)


def _cut(pieces: tuple[str, ...], length: int) -> tuple[str, ...]:
    kept: list[str] = []
    for piece in pieces:
        if length <= 0:
            break
        kept.append(piece[:length])
        length -= len(piece)
    return tuple(kept)


def _limit(say: Say, limits: list[Any]) -> Say:
    numbers = [one for one in limits if isinstance(one, int) and not isinstance(one, bool) and one >= 1]
    if not numbers or len(say.text) + len(say.reasoning) <= min(numbers):
        return say
    room = min(numbers)
    reasoning = say.reasoning[:room]
    text = say.text[: room - len(reasoning)]
    usage = dict(say.usage) if say.usage is not None else None
    if usage is not None:
        usage["completion"] = room
    return replace(say, reasoning=reasoning, text=text, tool_calls=(), finish="length", usage=usage)
